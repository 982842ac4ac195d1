"""Random signs and Walsh-Hadamard transforms that spread every value over its whole vector, for any length.

Only additions, sign changes and one multiplication per block, so that results are equal on every machine.
"""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import pairwise

import numpy as np

_CACHED = 1 << 15  # values transformed at a time


def forward(vectors: np.ndarray) -> np.ndarray:
    """(n, size) float32 -> the same shape, rotated (orthonormal).

    A power of two takes one round of signs and transform. Other sizes split into powers of two, largest first; a second
    round with the blocks in reverse order mixes what the first one kept apart.
    """
    out = vectors
    for rotation in _rounds(vectors.shape[1]):
        out = _blocks(out * rotation.signs, rotation.edges)
    return out


def backward(vectors: np.ndarray) -> np.ndarray:
    """Inverse of `forward`."""
    out = vectors
    for rotation in reversed(_rounds(vectors.shape[1])):
        out = _blocks(out, rotation.edges) * rotation.signs
    return out


class _Round:
    def __init__(self, sizes: list[int], seed: bytes) -> None:
        self.edges = np.cumsum([0, *sizes]).tolist()
        stream = hashlib.shake_256(seed).digest(-(-self.edges[-1] // 8))
        flips = np.unpackbits(np.frombuffer(stream, np.uint8))[: self.edges[-1]]
        self.signs = (1 - 2 * flips.astype(np.int8)).astype(np.float32)


@cache
def _rounds(size: int) -> tuple[_Round, ...]:
    powers = [1 << k for k in reversed(range(size.bit_length())) if size >> k & 1]
    if len(powers) <= 1:
        return (_Round(powers, b"first"),) if powers else ()
    return _Round(powers, b"first"), _Round(powers[::-1], b"second")


def _blocks(vectors: np.ndarray, edges: list[int]) -> np.ndarray:
    out = np.empty_like(vectors)
    for a, b in pairwise(edges):
        rows = max(16, _CACHED // (b - a))
        for i in range(0, len(vectors), rows):
            out[i : i + rows, a:b] = _transform(np.array(vectors[i : i + rows, a:b].T, order="C")).T
    return out


def _transform(columns: np.ndarray) -> np.ndarray:
    """(2^k, n) float32, overwritten -> orthonormal Walsh-Hadamard transform of each column."""
    size, count = columns.shape
    spare, half = np.empty((size, count), np.float32), 1
    while half < size:
        pairs = columns.reshape(size // (2 * half), 2, half, count)
        out = spare.reshape(pairs.shape)
        np.add(pairs[:, 0], pairs[:, 1], out=out[:, 0])
        np.subtract(pairs[:, 0], pairs[:, 1], out=out[:, 1])
        columns, spare, half = spare, columns, 2 * half
    columns *= np.float32(size**-0.5)
    return columns
