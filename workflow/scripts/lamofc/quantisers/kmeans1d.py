"""Non-uniform levels fitted to scalar data: Lloyd's algorithm on sorted values, from quantiles."""

from __future__ import annotations

import numpy as np

_ROUNDS = 60


def fit(values: np.ndarray, width: int) -> np.ndarray:
    """float array of any shape -> ascending levels (2^width,) float32; evenly spaced in -1 .. 1 without values."""
    count = 1 << width
    if not values.size:
        return ((2 * np.arange(count) + 1) / count - 1).astype(np.float32)
    ordered = np.sort(values.ravel().astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    levels = ordered[(2 * np.arange(count) + 1) * ordered.size // (2 * count)]
    for _ in range(_ROUNDS):
        edges = np.searchsorted(ordered, (levels[1:] + levels[:-1]) / 2)
        first, last = np.append(0, edges), np.append(edges, ordered.size)
        sizes = last - first
        levels = np.where(sizes > 0, (sums[last] - sums[first]) / np.maximum(sizes, 1), levels)
    return np.sort(levels).astype(np.float32)


def nearest(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """float32, any shape -> indices of the nearest levels, uint8."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values).astype(np.uint8)
