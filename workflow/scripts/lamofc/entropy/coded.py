"""Small integers, then floats, under tables fitted to them: what `packed` holds, in fewer bits."""

from __future__ import annotations

import numpy as np

from lamofc.dtypes import numpy_dtype
from lamofc.entropy import histogram, planes
from lamofc.entropy.ans import Decoder, Encoder


def put(levels: np.ndarray, width: int, floats: np.ndarray) -> bytes:
    """Integers of `width` <= 8 bits, any shape, then floats of a native dtype, any shape."""
    encoder = Encoder()
    histogram.put(encoder, levels, 1 << width)
    for plane in planes.split(floats):
        histogram.put(encoder, plane, 256)
    return encoder.bytes()


def take(data: bytes, count: int, width: int, dtype: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `put` -> integers (count,) uint8, floats of `shape`."""
    decoder, size = Decoder(data), int(np.prod(shape))
    levels = histogram.take(decoder, count, 1 << width).astype(np.uint8)
    found = [histogram.take(decoder, size, 256).astype(np.uint8) for _ in range(numpy_dtype(dtype).itemsize)]
    decoder.close()
    return levels, planes.merge(np.stack(found), dtype, shape)
