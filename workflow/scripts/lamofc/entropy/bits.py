"""Raw packing of small integers, most significant bit first, without gaps; a last byte is padded with zeros."""

from __future__ import annotations

import numpy as np

from lamofc.errors import BitstreamError


def pack(values: np.ndarray, width: int) -> bytes:
    """Integers 0 .. 2^width - 1, any shape, width 0 .. 16 -> ceil(size * width / 8) bytes."""
    values = np.ascontiguousarray(values).ravel()
    if width == 0:
        return b""
    if width in (8, 16):
        return values.astype(f">u{width // 8}").tobytes()
    if width in (1, 2, 4):
        return _pack_divisor(values.astype(np.uint8), width)
    planes = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)
    return np.packbits(planes[:, 16 - width :]).tobytes()


def unpack(data: bytes, width: int, count: int) -> np.ndarray:
    """Inverse of `pack` -> (count,) uint16 or uint8; BitstreamError unless `data` has exactly the right size."""
    if len(data) != size(width, count):
        raise BitstreamError(f"{len(data)} bytes do not hold {count} integers of {width} bits")
    if width == 0:
        return np.zeros(count, np.uint8)
    raw = np.frombuffer(data, np.uint8)
    if width in (8, 16):
        return np.frombuffer(data, f">u{width // 8}").astype(f"u{width // 8}")
    if width in (1, 2, 4):
        shifts = np.arange(8 - width, -1, -width, dtype=np.uint8)
        return ((raw[:, None] >> shifts) & np.uint8((1 << width) - 1)).ravel()[:count]
    planes = np.zeros((count, 16), np.uint8)
    planes[:, 16 - width :] = np.unpackbits(raw)[: count * width].reshape(count, width)
    return np.packbits(planes, axis=1).view(">u2").ravel().astype(np.uint16)


def size(width: int, count: int) -> int:
    """Bytes that `pack` makes of `count` integers."""
    return (count * width + 7) // 8


def _pack_divisor(values: np.ndarray, width: int) -> bytes:
    per_byte = 8 // width
    padded = np.zeros(-(-len(values) // per_byte) * per_byte, np.uint8)
    padded[: len(values)] = values
    out = np.zeros(len(padded) // per_byte, np.uint8)
    for i in range(per_byte):
        out |= padded[i::per_byte] << np.uint8(8 - width * (i + 1))
    return out.tobytes()
