"""One 2-D plane per tensor, as LaMoFCBench lays features out for image-like coders (arXiv:2605.24025).

The matrix of a tensor has tokens (or channels of a state) as rows; heads lie side by side; channels of a latent are
tiles of a mosaic. Two packings turn the matrix into the coded plane:

paper: every side is padded with zeros to a multiple of 64, whatever the tensor's size.
tight: matrices are cut into pieces and stacked so that the plane fits its padding closely; sides are padded only to a
       multiple of 16 (the stride of the analysis transform), by repeating the last row and column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PACKINGS = ("tight", "paper")
PAPER_MULTIPLE = 64
TIGHT_MULTIPLE = 16
_SIDE = 64  # stride of the hyper-latents
_HYPER_SHARE = 0.05
_CUT_COST = 0.005


def matrix_shape(kind: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of the matrix of a tensor."""
    if kind in ("key", "value"):
        return shape[1], shape[0] * shape[2]
    if kind == "latent":
        down, across = _tiles(shape[0])
        return down * shape[1], across * shape[2]
    return (1, shape[0]) if kind == "pooled" else (shape[0], shape[1])


def to_matrix(array: np.ndarray, kind: str) -> np.ndarray:
    """Natural shape -> matrix; any dtype."""
    if kind in ("key", "value"):
        array = array.transpose(1, 0, 2)
    if kind == "latent":
        down, across = _tiles(array.shape[0])
        array = array.reshape(down, across, *array.shape[1:]).transpose(0, 2, 1, 3)
        return array.reshape(down * array.shape[1], -1)
    return array.reshape(1, -1) if kind == "pooled" else array.reshape(array.shape[0], -1)


def from_matrix(matrix: np.ndarray, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `to_matrix`."""
    if kind in ("key", "value"):
        return matrix.reshape(shape[1], shape[0], shape[2]).transpose(1, 0, 2)
    if kind == "latent":
        down, across = _tiles(shape[0])
        return matrix.reshape(down, shape[1], across, shape[2]).transpose(0, 2, 1, 3).reshape(shape)
    return matrix.reshape(shape)


@dataclass(frozen=True)
class Layout:
    """How a tensor of this kind and shape, at least one element, lies in a plane of `height` x `width`."""

    kind: str
    shape: tuple[int, ...]
    packing: str

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of the coded plane."""
        multiple = PAPER_MULTIPLE if self.packing == "paper" else TIGHT_MULTIPLE
        rows, columns = self._folded_shape()
        return _rounded(rows, multiple), _rounded(columns, multiple)

    def pack(self, array: np.ndarray) -> np.ndarray:
        """Array in natural shape -> plane of the same dtype."""
        matrix = to_matrix(array, self.kind)
        if self.packing == "paper":
            return _padded(matrix, self.plane_shape, "constant")
        return _padded(self._fold(matrix), self.plane_shape, "edge")

    def unpack(self, plane: np.ndarray) -> np.ndarray:
        """Inverse of `pack`; what was padded is dropped."""
        rows, columns = self._folded_shape()
        matrix = plane[:rows, :columns]
        if self.packing == "tight":
            matrix = self._unfold(matrix)
        return np.ascontiguousarray(from_matrix(matrix, self.kind, self.shape))

    def _folds(self) -> tuple[int, int]:
        """Number of pieces that the rows (laid side by side) and the columns (one below the other) are cut into."""
        rows, columns = matrix_shape(self.kind, self.shape)
        across = {-(-side // columns) for side in range(_SIDE, 9 * _SIDE, _SIDE) if columns < _SIDE and rows > side}
        down = range(1, max(1, columns // TIGHT_MULTIPLE) + 1)
        candidates = [(1, n) for n in down] + [(n, 1) for n in sorted(across)]
        return min(candidates, key=lambda c: _cost(-(-rows // c[0]) * c[1], -(-columns // c[1]) * c[0], max(c)))

    def _folded_shape(self) -> tuple[int, int]:
        rows, columns = matrix_shape(self.kind, self.shape)
        if self.packing == "paper":
            return rows, columns
        across, down = self._folds()
        return -(-rows // across) * down, -(-columns // down) * across

    def _fold(self, matrix: np.ndarray) -> np.ndarray:
        across, down = self._folds()
        height, width = -(-matrix.shape[0] // across), -(-matrix.shape[1] // down)
        cut = _padded(matrix, (height * across, width * down), "edge").reshape(across, height, down, width)
        return cut.transpose(2, 1, 0, 3).reshape(down * height, across * width)

    def _unfold(self, matrix: np.ndarray) -> np.ndarray:
        rows, columns = matrix_shape(self.kind, self.shape)
        across, down = self._folds()
        height, width = matrix.shape[0] // down, matrix.shape[1] // across
        cut = matrix.reshape(down, height, across, width).transpose(2, 1, 0, 3)
        return cut.reshape(across * height, down * width)[:rows, :columns]


def _cost(rows: int, columns: int, pieces: int) -> float:
    """Latents of a padded plane, its hyper-latents at a small share, and a little for every cut, since pieces of
    different channels are no neighbours; in arbitrary units."""
    latents = _rounded(rows, TIGHT_MULTIPLE) * _rounded(columns, TIGHT_MULTIPLE)
    hyper_latents = _rounded(rows, _SIDE) * _rounded(columns, _SIDE)
    return latents + _HYPER_SHARE * hyper_latents + _CUT_COST * (pieces - 1) * rows * columns


def _rounded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _tiles(channels: int) -> tuple[int, int]:
    """Rows and columns of a mosaic: 4x4 for 16 channels, 4x8 for 32, as square as the number divides otherwise."""
    down = next(n for n in range(int(channels**0.5), 0, -1) if channels % n == 0)
    return down, channels // down


def _padded(matrix: np.ndarray, shape: tuple[int, int], mode: str) -> np.ndarray:
    pad = [(0, want - have) for want, have in zip(shape, matrix.shape, strict=True)]
    return np.pad(matrix, pad, mode=mode) if any(after for _, after in pad) else np.ascontiguousarray(matrix)
