"""Sparse: the largest magnitudes, quantised, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.entropy import bank, grouped, integers, mask, scales
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.interfaces import Assets, TensorSpec
from lamofc.quantisers import reference, relative, uniform
from lamofc.transforms import rows

_FEW = 16  # values per channel below which channels share one table


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """Magnitude pruning (Strom 2015; Aji & Heafield 2017): the share of a tensor that a few large values carry.

    keep: fraction of values kept, the knob; the others become 0. Positions cost the entropy of each channel's density.
    step: quantiser step of kept values, in units of the tensor's typical RMS.
    """

    knob: ClassVar[str] = "keep"
    family: ClassVar[str] = "transform"

    keep: float = 0.5
    step: float = 0.05

    def __post_init__(self) -> None:
        relative.check(self.step)
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep {self.keep} is outside 0 .. 1")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs)


class Coder(PerTensorCoder):
    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        super().__init__(specs)
        self.codec = codec

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        values, encoder = rows.to_rows(array, spec), Encoder()
        step = relative.put_step(encoder, reference.column_rms(values), np.abs(values).max(initial=0), self.codec.step)
        kept = _largest(values, self.codec.keep)
        symbols = uniform.quantise(values[kept], step)
        sizes = np.abs(symbols)
        least = int(sizes.min(initial=uniform.LIMIT))
        mask.put(encoder, kept)
        encoder.put_uniform(symbols < 0, 2)
        integers.put_one(encoder, int(least))
        _put_excess(encoder, sizes - least, np.nonzero(kept)[0], len(values))
        return encoder.bytes()

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        decoder, count = Decoder(data), rows.positions(shape, spec)
        step = relative.take_step(decoder, self.codec.step)
        kept = mask.take(decoder, spec.channels, count)
        negative = decoder.take_uniform(int(kept.sum()), 2) > 0
        least = int(integers.take(decoder, 1)[0])
        sizes = least + _take_excess(decoder, np.nonzero(kept)[0], spec.channels)
        decoder.close()
        symbols = np.zeros(kept.shape, np.int64)
        symbols[kept] = np.where(negative, -sizes, sizes)
        return rows.from_rows(relative.dequantise(symbols, step), spec, shape)


def _largest(values: np.ndarray, fraction: float) -> np.ndarray:
    """(channels, n) bool: the given fraction of values that are largest in magnitude, ties included."""
    sizes = np.abs(values)
    dropped = sizes.size - int(np.ceil(fraction * sizes.size))
    if dropped <= 0:
        return np.ones(values.shape, bool)
    return sizes >= np.partition(sizes.ravel(), dropped)[dropped]


def _put_excess(encoder: Encoder, excess: np.ndarray, channel: np.ndarray, channels: int) -> None:
    """Sizes beyond the least, with one table per channel unless channels hold few values."""
    counts = np.bincount(channel, minlength=channels)
    means = np.bincount(channel, excess, channels) / np.maximum(counts, 1)
    if counts.sum() < _FEW * channels:
        means[:] = excess.mean() if excess.size else 0
    tables = np.minimum(bank.index(means / np.sqrt(2)), bank.MAX_INDEX)
    scales.put(encoder, tables)
    folded = integers.unzigzag(excess).astype(np.int32)
    each = tables[channel]
    for table in np.flatnonzero(np.bincount(each)).tolist():
        grouped.put(encoder, folded[each == table][None], np.array([table]))


def _take_excess(decoder: Decoder, channel: np.ndarray, channels: int) -> np.ndarray:
    """Inverse of `_put_excess` -> int64."""
    tables = scales.take(decoder, channels)
    folded = np.zeros(len(channel), np.int64)
    each = tables[channel]
    for table in np.flatnonzero(np.bincount(each)).tolist():
        where = np.flatnonzero(each == table)
        folded[where] = grouped.take(decoder, len(where), np.array([table]))[0]
    return integers.zigzag(folded)
