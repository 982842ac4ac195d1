"""Integers under pcodec's standalone format (Loncaric 2024): adaptive bins, optional deltas, found per tensor."""

from __future__ import annotations

import numpy as np
from pcodec import ChunkConfig, standalone

from lamofc.errors import BitstreamError


def pack(values: np.ndarray) -> bytes:
    """int32, any shape, read in C order -> bytes; none for no values."""
    values = np.ascontiguousarray(values, np.int32).ravel()
    return standalone.simple_compress(values, ChunkConfig()) if values.size else b""


def unpack(data: bytes, count: int) -> np.ndarray:
    """Inverse of `pack` -> (count,) int32; BitstreamError unless `data` holds exactly so many."""
    values = np.zeros(count, np.int32)
    if not count:
        if data:
            raise BitstreamError(f"{len(data)} bytes for no values")
        return values
    try:
        progress = standalone.simple_decompress_into(data, values)
    except (RuntimeError, TypeError) as error:
        raise BitstreamError(f"pcodec refuses the bytes: {error}") from error
    if progress.n_processed != count or not progress.finished:
        raise BitstreamError(f"pcodec's bytes do not hold {count} values")
    return values
