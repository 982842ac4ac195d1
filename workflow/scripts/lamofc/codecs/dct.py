"""Cosine transform along tokens or over the image grid, uniform quantiser, entropy coder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import Payload, StackedCoder
from lamofc.entropy import adaptive, integers
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError
from lamofc.interfaces import Assets, TensorSpec
from lamofc.quantisers import reference, relative, uniform
from lamofc.transforms import dct, rows
from lamofc.transforms.snap import snap


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """Low frequency over tokens (Ahmed et al. 1974): shows how much redundancy neighbouring tokens share.

    Prefix tokens and tokens of unusual size are coded apart, as they are, and do not spread over all frequencies.

    step: quantiser step, the knob, in units of the tensor's typical RMS.
    zone: fraction of each axis's frequencies that is kept, the lowest; 1 keeps all (uniform), less is zonal coding.
    """

    knob: ClassVar[str] = "step"
    family: ClassVar[str] = "transform"

    step: float = 0.1
    zone: float = 1.0

    def __post_init__(self) -> None:
        relative.check(self.step)
        if not 0 < self.zone <= 1:
            raise ValueError(f"zone {self.zone} is outside 0 .. 1")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs)


class Coder(StackedCoder):
    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        super().__init__(specs)
        self.codec = codec

    def start_stack(
        self, stack: np.ndarray, shape: tuple[int, ...], specs: Sequence[TensorSpec], queue: adaptive.Queue
    ) -> list[Payload]:
        prefix, grid = dct.grid_of(specs[0], shape)
        sizes, encoders = reference.column_rms(stack), [Encoder() for _ in specs]
        apart = np.stack([_unusual(s, prefix) for s in sizes])
        smooth = _filled(stack, apart)[:, :, prefix:]
        joined = smooth.reshape(len(smooth) * smooth.shape[1], smooth.shape[2])
        coefficients = dct.forward(joined, grid).reshape(smooth.shape)
        coefficients = coefficients[:, :, self._zone(smooth.shape[2], grid)]
        own = [values[:, a].astype(np.float64) for values, a in zip(stack, apart, strict=True)]
        largest = np.maximum(np.abs(coefficients).max((1, 2), initial=0), [np.abs(o).max(initial=0) for o in own])
        each = zip(encoders, sizes, largest.tolist(), strict=True)
        steps = [relative.put_step(encoder, s, top, self.codec.step) for encoder, s, top in each]
        symbols = uniform.quantise_all(coefficients, steps)
        for i, encoder in enumerate(encoders):
            _put_positions(encoder, apart[i, prefix:])
            queue.put(encoder, symbols[i])
            queue.put(encoder, uniform.quantise(own[i], steps[i]))
        return [encoder.bytes for encoder in encoders]

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        decoder, count = Decoder(data), rows.positions(shape, spec)
        prefix, grid = dct.grid_of(spec, shape)
        step = relative.take_step(decoder, self.codec.step)
        apart = np.concatenate([np.ones(prefix, bool), _take_positions(decoder, count - prefix)])
        zone = self._zone(count - prefix, grid)
        coefficients = np.zeros((spec.channels, count - prefix))
        coefficients[:, zone] = adaptive.take(decoder, spec.channels, coefficients[:, zone].shape[1])
        own = adaptive.take(decoder, spec.channels, int(apart.sum()))
        decoder.close()
        values = np.empty((spec.channels, count))
        values[:, prefix:] = dct.inverse(coefficients, grid)
        values[:, apart] = own
        return rows.from_rows(snap(values * step, step), spec, shape)

    def _zone(self, count: int, grid: tuple[int, int] | None) -> np.ndarray | slice:
        """Which of `count` coefficients are coded: a mask, or all."""
        if self.codec.zone == 1:
            return slice(count)
        return dct.frequencies(count, grid) < self.codec.zone


def _unusual(sizes: np.ndarray, prefix: int) -> np.ndarray:
    """RMS of columns (n,) -> (n,) bool: the prefix, and those beyond three times the median unless they are many."""
    apart = ~reference.are_usual(sizes)
    if apart.sum() > len(apart) // 8:
        apart[:] = False
    apart[:prefix] = True
    return apart


def _filled(values: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """(tensors, channels, n), (tensors, n): columns apart take the mean of the others, which costs next to nothing."""
    some = apart.any(1) & ~apart.all(1)
    filled = values.copy() if some.any() else values
    for i in some.nonzero()[0].tolist():
        filled[i][:, apart[i]] = values[i][:, ~apart[i]].mean(1, dtype=np.float64)[:, None]
    return filled


def _put_positions(encoder: Encoder, chosen: np.ndarray) -> None:
    at = np.flatnonzero(chosen)
    integers.put_one(encoder, at.size)
    if at.size:
        integers.put(encoder, np.diff(at, prepend=-1) - 1)


def _take_positions(decoder: Decoder, count: int) -> np.ndarray:
    """(count,) bool."""
    number = int(integers.take(decoder, 1)[0])
    if number > count:
        raise BitstreamError(f"{number} of {count} tokens are coded apart")
    at = np.cumsum(integers.take(decoder, number) + 1) - 1
    if at.size and at[-1] >= count:
        raise BitstreamError(f"token {at[-1]} of {count} is coded apart")
    chosen = np.zeros(count, bool)
    chosen[at] = True
    return chosen
