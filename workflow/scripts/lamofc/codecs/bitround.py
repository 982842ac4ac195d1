"""Mantissa rounding, then a lossless coder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.dtypes import from_bits, to_bits
from lamofc.entropy import pco
from lamofc.interfaces import Assets, TensorSpec

_MANTISSA = {"float32": 23, "float16": 10, "bfloat16": 7}
_LARGEST = {"float32": 0x7F7FFFFF, "float16": 0x7BFF, "bfloat16": 0x7F7F}


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """BitRound (Kloewer et al. 2021) and pcodec: every value keeps so many bits of its mantissa, whatever its size.

    keep: mantissa bits kept, the knob; negative numbers give up exponent bits as well, for the far end of the ladder.
        The relative error of normal values is at most 2^-(keep + 1) for keep >= 0.
    """

    knob: ClassVar[str] = "keep"
    family: ClassVar[str] = "scientific"

    keep: int = 7

    def __post_init__(self) -> None:
        if not -3 <= self.keep <= 23:
            raise ValueError(f"keep {self.keep} is outside -3 .. 23")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs)


class Coder(PerTensorCoder):
    """Codes sign and kept bits as one integer, order-preserving, so that the coder sees values by size."""

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        super().__init__(specs)
        self.codec = codec

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        drop = self._dropped(spec)
        bits = to_bits(array).astype(np.int64).ravel()
        top = np.int64(1) << (8 * array.itemsize - 1)
        sizes = bits & (top - 1)
        rounded = (sizes + (np.int64(1) << drop >> 1) - 1 + (sizes >> drop & 1) >> drop) if drop else sizes
        rounded = np.minimum(rounded, _LARGEST[spec.dtype] >> drop)
        return pco.pack(np.where(bits & top, -rounded - 1, rounded).astype(np.int32))

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        drop, width = self._dropped(spec), {"float32": 4}.get(spec.dtype, 2)
        signed = pco.unpack(data, int(np.prod(shape, dtype=np.int64))).astype(np.int64)
        sizes = np.minimum(np.where(signed < 0, -signed - 1, signed), _LARGEST[spec.dtype] >> drop) << drop
        bits = sizes | np.where(signed < 0, np.int64(1) << (8 * width - 1), 0)
        return from_bits(bits.astype(f"<u{width}").reshape(shape), spec.dtype)

    def _dropped(self, spec: TensorSpec) -> int:
        return max(_MANTISSA[spec.dtype] - self.codec.keep, 0)
