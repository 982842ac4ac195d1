"""The network of a trained state-space language model: transformers' own class, small."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn


def build(entry: Mapping[str, Any]) -> nn.Module:
    """A FalconMambaForCausalLM of the sizes of `entry["network"]`, initialised as `entry["seed"]` says."""
    from transformers import FalconMambaConfig, FalconMambaForCausalLM

    torch.manual_seed(entry["seed"])
    config = FalconMambaConfig(
        **entry["network"], tie_word_embeddings=True, initializer_range=0.02, rescale_prenorm_residual=True
    )
    return FalconMambaForCausalLM(config)


def save(net: nn.Module, folder: Path) -> None:
    """Weights rounded to float16, as they ship; `net` keeps the rounded values.

    The scaling of `out_proj` belongs to the start of training alone: transformers repeats it on every load of a model
    whose configuration asks for it, over the weights it has just read.
    """
    net.config.rescale_prenorm_residual = False
    net.half().save_pretrained(folder)
    net.float()
