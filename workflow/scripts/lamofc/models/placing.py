"""Where a big model runs, and how its weights get there: device and dtype by configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lamofc.errors import ConfigError
from lamofc.models.torch_arrays import torch_dtype


def device_of(name: str) -> torch.device:
    """cpu, cuda, cuda:1 or meta; auto is where the workflow's `device` puts tensors. ConfigError if it is not there.

    meta holds shapes without weights: the structure of a model that is too large for this machine.
    """
    if name == "auto":
        return torch.get_default_device()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r} is none of auto, cpu, cuda, cuda:<n>, meta") from None
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(f"device {name!r} is not there: this machine has {torch.cuda.device_count()} CUDA devices")
    return device


def load(kind: Any, weights: Path, dtype: str, device: str, device_map: Any = None, **options: Any) -> Any:
    """A `transformers` or `diffusers` model of class `kind` from a folder, in evaluation mode, weights read once.

    device_map: passed to the library, which then spreads the model over devices (needs accelerate) and moves hidden
    states between its layers; else it is put on `device`. With device "meta" only config.json is read.
    """
    if device_of(device).type == "meta":
        return _empty(kind, weights, dtype).eval()
    options = {"dtype": torch_dtype(dtype), "local_files_only": True} | options
    if device_map is not None:
        return kind.from_pretrained(weights, device_map=device_map, **options).eval()
    return kind.from_pretrained(weights, **options).to(device_of(device)).eval()


def _empty(kind: Any, weights: Path, dtype: str) -> Any:
    with torch.device("meta"):
        if hasattr(kind, "load_config"):  # diffusers
            return kind.from_config(kind.load_config(str(weights))).to(torch_dtype(dtype))
        return kind(kind.config_class.from_pretrained(weights)).to(torch_dtype(dtype))


def runs_on(module: torch.nn.Module) -> torch.device:
    """Where a part of a model computes: accelerate knows of the parts that it placed, the weights of all others."""
    placed = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return next(module.parameters()).device if placed is None else torch.device(placed)


def parameters(*modules: torch.nn.Module) -> int:
    """Number of weights, shared ones once."""
    return sum(p.numel() for p in {id(p): p for m in modules for p in m.parameters()}.values())
