"""Features as they are: the uncompressed run, as a codec on the same path as every other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.dtypes import from_bits, numpy_dtype, to_bits
from lamofc.errors import BitstreamError
from lamofc.interfaces import Assets, TensorSpec


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """Native little-endian bytes. `level` has one value, "raw": a ladder of one point."""

    knob = "level"
    family = "reference"
    lossless = True

    level: str = "raw"

    def __post_init__(self) -> None:
        if self.level != "raw":
            raise ValueError(f"level {self.level!r} is unknown; identity has 'raw' alone")

    def coder(self, specs: list[TensorSpec], assets: Assets) -> Coder:
        return Coder(specs)


class Coder(PerTensorCoder):
    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        return to_bits(array).tobytes()

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        dtype = numpy_dtype(spec.dtype)
        if len(data) != dtype.itemsize * int(np.prod(shape)):
            raise BitstreamError(f"{spec.name}: {len(data)} bytes do not make {shape} of {spec.dtype}")
        bits = np.frombuffer(data, {2: "<u2", 4: "<u4"}[dtype.itemsize]).reshape(shape)
        return from_bits(bits.copy(), spec.dtype)
