"""How the vectors of a sample lie: first positions that have statistics of their own, then blocks that a DCT spans.

A block is the whole grid of image patches or of a latent (2-D DCT) or a run of neighbours in time (1-D DCT); the last
run may be shorter, and each of its frequencies then takes the statistics of the nearest one of a whole run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lamofc.interfaces import TensorSpec

FIRST = 4  # first positions of a sequence kept apart
SEQUENCES = ("tokens", "key", "value", "embedding")
CANDIDATES = (1, 8, 16, 50)
LONGEST = 512  # side of a latent that a DCT spans: its matrix has the square of that many entries


def apart(spec: TensorSpec) -> int:
    """How many first positions have a mean and scales of their own."""
    if spec.kind not in SEQUENCES:
        return 0
    return int(spec.attributes.get("prefix", FIRST)) if spec.kind == "tokens" else FIRST


def candidates(spec: TensorSpec) -> list[tuple[int, int]]:
    """Block shapes (rows, columns) worth trying; (1, 1) is no transform."""
    if spec.attributes.get("grid") is not None:
        return [(1, 1), tuple(spec.attributes["grid"])]
    if spec.kind == "latent" and all(0 < (n or 0) <= LONGEST for n in spec.shape[1:]):
        return [(1, 1), spec.shape[1:]]
    return [(1, n) for n in CANDIDATES] if spec.kind in ("tokens", "key", "value") else [(1, 1)]


@dataclass(frozen=True)
class Layout:
    """`count` vectors, the first `first` of them apart, the others in blocks of `block` = (rows, columns)."""

    count: int
    first: int
    block: tuple[int, int]

    @property
    def size(self) -> int:
        return self.block[0] * self.block[1]

    @property
    def body(self) -> int:
        """Vectors not kept apart."""
        return max(0, self.count - self.first)

    def transform(self, matrix: np.ndarray, inverse: bool = False) -> np.ndarray:
        """(dimension, count) float32 -> the same with the DCT of every block, orthonormal; or back."""
        whole = self.body // self.size * self.size
        if self.size == 1 or not self.body:
            return matrix
        out = np.empty_like(matrix)
        start, middle = self.count - self.body, self.count - self.body + whole
        out[:, :start] = matrix[:, :start]
        if whole:
            out[:, start:middle] = _blocks(matrix[:, start:middle], self.block, inverse)
        if middle < self.count:
            out[:, middle:] = _blocks(matrix[:, middle:], (1, self.count - middle), inverse)
        return out

    def frequencies(self) -> np.ndarray:
        """For each body column the index of its frequency among those of a whole block. (body,) int64."""
        whole = self.body // self.size * self.size
        rest = self.body - whole
        tail = np.arange(rest) * self.size // max(rest, 1)
        return np.concatenate([np.tile(np.arange(self.size), whole // self.size), tail]).astype(np.int64)


def _blocks(matrix: np.ndarray, block: tuple[int, int], inverse: bool) -> np.ndarray:
    rows, columns = (_dct(n).T if inverse else _dct(n) for n in block)
    cube = np.ascontiguousarray(matrix).reshape(-1, block[1]) @ columns.T
    if block[0] > 1:
        cube = np.matmul(rows, cube.reshape(-1, *block))
    return cube.reshape(matrix.shape)


@lru_cache(maxsize=256)
def _dct(size: int) -> np.ndarray:
    """Orthonormal DCT-II matrix (size, size) float32, frequencies as rows."""
    k, n = np.arange(size)[:, None], np.arange(size)[None]
    matrix = np.sqrt(2 / size) * np.cos(np.pi * k * (2 * n + 1) / (2 * size))
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)
