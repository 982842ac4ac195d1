"""Exact passage between torch tensors and numpy arrays, bfloat16 included; batching by equal shape."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch

from lamofc.dtypes import BFLOAT16, to_bits
from lamofc.errors import ConfigError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def torch_dtype(name: str) -> torch.dtype:
    """ConfigError if the name is not a native dtype."""
    if name not in DTYPES:
        raise ConfigError(f"dtype {name!r} is none of {', '.join(DTYPES)}")
    return DTYPES[name]


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Same bits in numpy, on the CPU, contiguous."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()


def to_torch(array: np.ndarray, device: torch.device | str | None = None) -> torch.Tensor:
    """Same bits in torch, on the default device if none is named."""
    device = device or torch.get_default_device()
    if array.dtype == BFLOAT16:
        return torch.from_numpy(to_bits(array).view(np.int16).copy()).view(torch.bfloat16).to(device)
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def map_batches(items: Sequence[Any], key: Callable[[Any], Hashable], batch: int, run: Callable[[list], list]) -> list:
    """Apply `run` to lists of at most `batch` items that share a key; results come back in input order.

    Items of different length are never padded together, so a result does not depend on its neighbours.
    """
    groups: dict[Hashable, list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(key(item), []).append(i)
    results: list[Any] = [None] * len(items)
    for indices in groups.values():
        for start in range(0, len(indices), batch):
            chosen = indices[start : start + batch]
            for i, result in zip(chosen, run([items[i] for i in chosen]), strict=True):
                results[i] = result
    return results
