"""Canny edges (Canny 1986) as OpenCV computes them with aperture 3 and the L1 norm of the gradient."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_TANGENT = 13573  # tan(22.5 degrees) in 15 bits, OpenCV's fixed-point constant


def canny(gray: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 (height, width) -> uint8 (height, width), 255 on edges.

    low, high: thresholds of the gradient's norm; weak edges stay where they touch a strong one.
    """
    across, down = _sobel(gray.astype(np.int32), 1), _sobel(gray.astype(np.int32), 0)
    norm = np.abs(across) + np.abs(down)
    kept = _ridges(norm, across, down) & (norm > low)
    labels, _ = ndimage.label(kept, np.ones((3, 3)))
    strong = np.unique(labels[kept & (norm > high)])
    return np.where(np.isin(labels, strong[strong > 0]), np.uint8(255), np.uint8(0))


def gray(image: np.ndarray) -> np.ndarray:
    """uint8 RGB (height, width, 3) -> uint8 luma, with OpenCV's 15-bit weights and rounding."""
    r, g, b = (image[..., i].astype(np.int32) for i in range(3))
    return ((r * 9798 + g * 19235 + b * 3735 + 16384) >> 15).astype(np.uint8)


def _sobel(values: np.ndarray, axis: int) -> np.ndarray:
    smooth = ndimage.correlate1d(values, [1, 2, 1], 1 - axis, mode="nearest")
    return ndimage.correlate1d(smooth, [-1, 0, 1], axis, mode="nearest")


def _ridges(norm: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Points not below their neighbours along the gradient; of equals the first one stays."""
    padded = np.pad(norm, 1)

    def shifted(rows: int, columns: int) -> np.ndarray:
        return padded[1 + rows : 1 + rows + norm.shape[0], 1 + columns : 1 + columns + norm.shape[1]]

    x, y = np.abs(across).astype(np.int64), np.abs(down).astype(np.int64) << 15
    flat, steep = y < x * _TANGENT, y > x * _TANGENT + (x << 16)
    turn = np.where((across ^ down) < 0, -1, 1)
    horizontal = (norm > shifted(0, -1)) & (norm >= shifted(0, 1))
    vertical = (norm > shifted(-1, 0)) & (norm >= shifted(1, 0))
    falling = (norm > shifted(-1, -1)) & (norm > shifted(1, 1))
    rising = (norm > shifted(-1, 1)) & (norm > shifted(1, -1))
    return np.where(flat, horizontal, np.where(steep, vertical, np.where(turn > 0, falling, rising)))
