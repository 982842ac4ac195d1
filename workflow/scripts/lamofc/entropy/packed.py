"""Small integers, then floats, as they are: the payload of codecs that have no entropy coder."""

from __future__ import annotations

import numpy as np

from lamofc.dtypes import from_bits, numpy_dtype, to_bits
from lamofc.entropy import bits
from lamofc.errors import BitstreamError


def put(levels: np.ndarray, width: int, floats: np.ndarray) -> bytes:
    """Integers of `width` <= 8 bits, any shape, then floats of a native dtype, any shape."""
    return bits.pack(levels, width) + to_bits(floats).tobytes()


def take(data: bytes, count: int, width: int, dtype: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `put` -> integers (count,) uint8, floats of `shape`."""
    split, bytes_each = bits.size(width, count), numpy_dtype(dtype).itemsize
    if len(data) != split + bytes_each * int(np.prod(shape)):
        raise BitstreamError(f"{len(data)} bytes do not hold {count} integers of {width} bits and {shape} of {dtype}")
    found = np.frombuffer(data[split:], f"<u{bytes_each}").reshape(shape)
    return bits.unpack(data[:split], width, count), from_bits(found.copy(), dtype)
