"""Layers of the coding networks as plain functions, and how both ends of a stream run them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from lamofc.networks import rans

STRIDE = 16  # of the analysis transforms: planes must be multiples of it


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread and deterministic kernels, so that both ends of a stream compute the same; restored afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def tables(weights: Mapping[str, np.ndarray]) -> dict[str, rans.Tables]:
    """Frequency tables of a network's z and y."""
    return {c: rans.Tables(*(weights[f"{c}.{f.name}"] for f in fields(rans.Tables))) for c in "yz"}


def apply(layers: Sequence, x: torch.Tensor) -> torch.Tensor:
    for layer in layers:
        x = layer(x)
    return x


def channel_indexes(shape: Sequence[int]) -> np.ndarray:
    return np.broadcast_to(np.arange(shape[0]).reshape(-1, 1, 1), shape)


def conv(weights: Mapping[str, torch.Tensor], name: str, stride: int = 2) -> partial:
    weight = weights[f"{name}.weight"].to(memory_format=torch.channels_last)
    return partial(F.conv2d, weight=weight, bias=weights[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2)


def deconv(weights: Mapping[str, torch.Tensor], name: str, stride: int = 2) -> partial:
    weight = weights[f"{name}.weight"].to(memory_format=torch.channels_last)
    sides = {"stride": stride, "padding": weight.shape[-1] // 2, "output_padding": stride - 1}
    return partial(F.conv_transpose2d, weight=weight, bias=weights[f"{name}.bias"], **sides)


def last_deconv(weights: Mapping[str, torch.Tensor], name: str) -> partial:
    """The same map as `deconv` to one channel, as a 3x3 convolution to the four phases of the output: faster."""
    weight = F.pad(weights[f"{name}.weight"][:, 0], (0, 1, 0, 1))  # (channels, 6, 6), taps 0..4 and a zero
    taps = torch.tensor([[4, 2, 0], [5, 3, 1]])  # phase, neighbour -1 0 1
    phases = weight[:, taps[:, None, :, None], taps[None, :, None, :]]  # (channels, 2, 2, 3, 3)
    kernel = phases.flatten(1, 2).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    return partial(_to_phases, weight=kernel, bias=weights[f"{name}.bias"].expand(4).contiguous())


def _to_phases(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.pixel_shuffle(F.conv2d(x, weight, bias, padding=1), 2)
