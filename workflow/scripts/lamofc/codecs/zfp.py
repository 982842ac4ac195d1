"""zfp, fixed accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import zfpy

from lamofc import interfaces
from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.dtypes import from_float32, to_float32
from lamofc.errors import BitstreamError
from lamofc.interfaces import Assets, TensorSpec
from lamofc.quantisers import reference
from lamofc.transforms import rows

_SLACK = 1024
_LIMIT = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """zfp (Lindstrom 2014): blocks of 4^d neighbours, a lifted transform, bit planes down to an error bound.

    zfp takes no 16-bit floats: they are widened to float32 exactly and rounded back.

    tolerance: largest absolute error, the knob, in units of the tensor's typical RMS; half an ulp of a 16-bit native
        dtype comes on top. zfp lowers it to a power of two and stays well below it.
    """

    knob: ClassVar[str] = "tolerance"
    family: ClassVar[str] = "scientific"

    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not 1e-6 <= self.tolerance <= 1e3:
            raise ValueError(f"tolerance {self.tolerance} is outside 1e-6 .. 1000")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs)


class Coder(PerTensorCoder):
    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        super().__init__(specs)
        self.codec = codec

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        if not array.size:
            return b""
        exponent = exponent_of(reference.typical_rms(rows.to_rows(array, spec)) * self.codec.tolerance)
        wide = np.ascontiguousarray(to_float32(array))
        stream = zfpy.compress_numpy(wide, tolerance=2.0**exponent, write_header=False)
        return exponent.to_bytes(2, "little", signed=True) + stream.rstrip(b"\0")

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        size = int(np.prod(shape, dtype=np.int64))
        if not size:
            return from_float32(np.zeros(shape, np.float32), spec.dtype)
        exponent = int.from_bytes(data[:2], "little", signed=True)
        if not -160 <= exponent <= 160 or len(data) - 2 > 8 * size + _SLACK:
            raise BitstreamError(f"{spec.name}: {len(data)} bytes with tolerance 2^{exponent} are no zfp stream")
        padded = data[2:] + bytes(8 * 4 ** len(shape) * size_in_blocks(shape) + _SLACK)  # zfp reads on without a check
        wide = zfpy._decompress(padded, zfpy.type_float, shape, tolerance=2.0**exponent)
        return from_float32(np.clip(np.nan_to_num(wide), -_LIMIT, _LIMIT), spec.dtype)


def exponent_of(tolerance: float) -> int:
    """The largest power of two not above a tolerance, which is what zfp makes of it."""
    return int(np.floor(np.log2(tolerance)))


def size_in_blocks(shape: tuple[int, ...]) -> int:
    """Number of zfp's blocks, four values wide in every dimension."""
    return int(np.prod([-(-n // 4) for n in shape], dtype=np.int64))
