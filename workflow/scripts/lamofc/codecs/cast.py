"""Casts to shorter number formats: what a deployment does before it thinks of a codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import ml_dtypes
import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.codecs.with_side import WithSideCoder
from lamofc.dtypes import BFLOAT16, from_bits, from_float32, numpy_dtype, to_bits, to_float32
from lamofc.entropy import bits
from lamofc.errors import BitstreamError
from lamofc.interfaces import Assets, TensorSpec
from lamofc.quantisers import maxabs

_FLOATS = {
    "fp16": np.dtype("<f2"),
    "bf16": BFLOAT16,
    "fp8-e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "fp8-e5m2": np.dtype(ml_dtypes.float8_e5m2),
}
_INTEGERS = {"int8": 8, "int6": 6, "int4": 4, "int3": 3, "int2": 2}
_EXPONENT = 126


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """Round to a number format, no entropy coding; formats and scales after Micikevicius et al. 2022 (fp8).

    dtype: the knob. "fp16", "bf16", "fp8-e4m3", "fp8-e5m2" are floats: one power of two per tensor, sent in a byte,
        moves fp8 so that the largest value nearly fills its range, and fp16 only where it would overflow; a tensor
        that has the format already is sent as it is. "int8", "int6", "int4", "int3", "int2" are symmetric integers
        with a scale, the largest absolute value as a bfloat16: one per token, or per 1024 values of other tensors.
    """

    knob: ClassVar[str] = "dtype"
    family: ClassVar[str] = "reference"

    dtype: str = "bf16"

    def __post_init__(self) -> None:
        if self.dtype not in _FLOATS | _INTEGERS:
            raise ValueError(f"dtype {self.dtype!r} is none of {', '.join(_FLOATS | _INTEGERS)}")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> interfaces.Coder:
        return IntegerCoder(specs, _INTEGERS[self.dtype]) if self.dtype in _INTEGERS else FloatCoder(specs, self.dtype)


class FloatCoder(PerTensorCoder):
    """Payload: exponent (one signed byte, not for bf16 nor for the native dtype), then the values."""

    def __init__(self, specs: Sequence[TensorSpec], dtype: str) -> None:
        super().__init__(specs)
        self.name, self.dtype = dtype, _FLOATS[dtype]

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        if array.dtype == self.dtype:
            return to_bits(array).tobytes()
        values = to_float32(array)
        if self.name == "bf16":
            return to_bits(from_float32(values, "bfloat16")).tobytes()
        limit = float(ml_dtypes.finfo(self.dtype).max)
        exponent = self._exponent(float(np.abs(values).max(initial=0)), limit)
        scaled = np.clip(np.ldexp(values, -exponent), -limit, limit)
        return exponent.to_bytes(1, "little", signed=True) + scaled.astype(self.dtype).tobytes()

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        native = numpy_dtype(spec.dtype)
        moved = self.name != "bf16" and native != self.dtype
        if len(data) != moved + self.dtype.itemsize * int(np.prod(shape)):
            raise BitstreamError(f"{spec.name}: {len(data)} bytes do not make {shape} of {self.name}")
        if native == self.dtype:
            return from_bits(np.frombuffer(data, "<u2").copy(), spec.dtype).reshape(shape)
        values = np.frombuffer(data[moved:], self.dtype).astype(np.float32)
        if not np.isfinite(values).all():
            raise BitstreamError(f"{spec.name}: holds NaN or infinity")
        if moved:
            with np.errstate(over="ignore"):  # rounding up to the format's next value may leave float32: clipped below
                values = np.ldexp(values, int.from_bytes(data[:1], "little", signed=True))
        largest = np.finfo(np.float32).max
        return from_float32(np.clip(values, -largest, largest).reshape(shape), spec.dtype)

    def _exponent(self, largest: float, limit: float) -> int:
        """Power of two by which values are divided before the cast."""
        if largest == 0 or (self.name == "fp16" and largest <= limit):
            return 0
        return int(np.clip(np.ceil(np.log2(largest / limit)), -_EXPONENT, _EXPONENT))


class IntegerCoder(WithSideCoder):
    """Payload: integers of `width` bits. Side: scales."""

    def __init__(self, specs: Sequence[TensorSpec], width: int) -> None:
        super().__init__(specs)
        self.width, self.top = width, (1 << (width - 1)) - 1

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> tuple[bytes, bytes]:
        vectors = maxabs.to_vectors(array, spec)
        scales, coded = maxabs.scales(vectors)
        levels = np.rint(vectors * (self.top / scales)[:, None]).clip(-self.top, self.top)
        return bits.pack(levels.astype(np.int16) + self.top, self.width), coded

    def decode_tensor(self, payload: bytes, side: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        count, size = maxabs.layout(shape, spec)
        levels = bits.unpack(payload, self.width, count * size).astype(np.int32)
        if levels.max(initial=0) > 2 * self.top:
            raise BitstreamError(f"{spec.name}: integer beyond the top level")
        steps = maxabs.read(side, count) / self.top
        return maxabs.from_vectors((levels.reshape(count, size) - self.top) * steps[:, None], spec, shape)
