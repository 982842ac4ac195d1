"""Cosine transform along tokens or over the image grid, uniform quantiser, entropy coder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import QueuedCoder
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


class Coder(QueuedCoder):
    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        super().__init__(specs)
        self.codec = codec

    def start(self, array: np.ndarray, spec: TensorSpec, queue: adaptive.Queue) -> Callable[[], bytes]:
        values, encoder = rows.to_rows(array, spec), Encoder()
        prefix, grid = dct.grid_of(spec, array.shape)
        apart = _unusual(values, prefix)
        own = values[:, apart].astype(np.float64)
        smooth = _filled(values, apart)[:, prefix:]
        coefficients = dct.forward(smooth, grid)[:, self._zone(values.shape[1] - prefix, grid)]
        largest = max(np.abs(part).max(initial=0) for part in (own, coefficients))
        step = relative.put_step(encoder, values, largest, self.codec.step)
        _put_positions(encoder, apart[prefix:])
        queue.put(encoder, uniform.quantise(coefficients, step))
        queue.put(encoder, uniform.quantise(own, step))
        return encoder.bytes

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


def _unusual(values: np.ndarray, prefix: int) -> np.ndarray:
    """(positions,) bool: the prefix, and columns beyond three times the median size unless they are many."""
    apart = ~reference.is_usual(values)
    if apart.sum() > len(apart) // 8:
        apart[:] = False
    apart[:prefix] = True
    return apart


def _filled(values: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Columns coded apart take the mean of the others, which costs next to nothing."""
    if not apart.any() or apart.all():
        return values
    filled = values.copy()
    filled[:, apart] = values[:, ~apart].mean(1, dtype=np.float64)[:, None]
    return filled


def _put_positions(encoder: Encoder, chosen: np.ndarray) -> None:
    at = np.flatnonzero(chosen)
    integers.put(encoder, np.array([at.size]))
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
