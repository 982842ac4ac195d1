"""Models on a GPU: where tensors are made by default, and moving a built model there."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lamofc.errors import ConfigError


def use(name: str) -> None:
    """Let torch make tensors on this device from now on; ConfigError where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "config key device: 'cuda', but torch finds no GPU on this machine; set device: cpu, "
            "or grant the jobs that run a model one with --resources gpu=1"
        )
    torch.set_default_device(name)


def move(model: Any, name: str) -> Any:
    """Every network that a model object holds, moved to the device, but those that a device map has placed."""
    for value in vars(model).values():
        if isinstance(value, nn.Module) and not hasattr(value, "hf_device_map"):
            value.to(name)
    return model
