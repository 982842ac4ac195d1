"""Orthonormal DCT-II of each channel over its positions: along tokens, or in two dimensions on a grid."""

from __future__ import annotations

import numpy as np
from scipy import fft

from lamofc.interfaces import TensorSpec


def forward(rows: np.ndarray, grid: tuple[int, int] | None) -> np.ndarray:
    """(channels, positions) -> coefficients of the same shape, float64; `grid` is (height, width) of the positions."""
    return _apply(fft.dctn, rows, grid)


def inverse(coefficients: np.ndarray, grid: tuple[int, int] | None) -> np.ndarray:
    """Inverse of `forward`, float64."""
    return _apply(fft.idctn, coefficients, grid)


def frequencies(positions: int, grid: tuple[int, int] | None) -> np.ndarray:
    """(positions,) float64 in 0 .. 1: how high a frequency each coefficient is, the larger of both axes."""
    if grid is None:
        return np.arange(positions) / max(positions, 1)
    height, width = grid
    return np.maximum.outer(np.arange(height) / height, np.arange(width) / width).ravel()


def grid_of(spec: TensorSpec, shape: tuple[int, ...]) -> tuple[int, tuple[int, int] | None]:
    """(number of prefix tokens before the grid, grid) of a tensor; grid None where tokens form a sequence."""
    if spec.kind == "latent":
        return 0, (shape[1], shape[2])
    grid, prefix = spec.attributes.get("grid"), spec.attributes.get("prefix", 0)
    if spec.kind != "tokens" or not grid or prefix + grid[0] * grid[1] != shape[0]:
        return 0, None
    return prefix, (grid[0], grid[1])


def _apply(transform: object, rows: np.ndarray, grid: tuple[int, int] | None) -> np.ndarray:
    if not rows.size:
        return rows.astype(np.float64)
    wide = rows.reshape(len(rows), *(grid or (rows.shape[1],))).astype(np.float64)
    axes = tuple(range(1, wide.ndim))
    return transform(wide, axes=axes, norm="ortho", overwrite_x=True, workers=1).reshape(rows.shape)
