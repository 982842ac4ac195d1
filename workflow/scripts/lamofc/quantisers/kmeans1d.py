"""Non-uniform levels fitted to scalar data: Lloyd's algorithm on sorted values, from quantiles."""

from __future__ import annotations

import numpy as np

_ROUNDS = 60
_CELLS = 1 << 13


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


class Finder:
    """Finds the nearest of ascending levels by a table of fine cells over -1 .. 1, beyond which the last ones reach."""

    def __init__(self, levels: np.ndarray) -> None:
        edges = ((levels[1:] + levels[:-1]) / 2).astype(np.float32)
        lower = (np.arange(_CELLS) / (_CELLS / 2) - 1).astype(np.float32)
        self._first = np.searchsorted(edges, lower).astype(np.uint8)
        self._edges = np.append(edges, np.float32(np.inf))

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """float32, any shape -> indices of the levels, uint8. Where three levels share a cell, the nearest but one."""
        cells = np.clip(values * np.float32(_CELLS / 2) + np.float32(_CELLS / 2), 0, _CELLS - 1).astype(np.int32)
        found = self._first[cells]
        found += values > self._edges[found]
        found += values > self._edges[found]
        return found
