"""Lloyd-Max quantiser of the unit Gaussian (Max 1960): the least squared error at a fixed number of levels."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

MAX_BITS = 8
_ROUNDS = 4000
_CELLS, _SPAN = 1 << 12, 8.0
_GRID = 2.0**-16  # levels are multiples of it, so that libm's last bits do not show


@cache
def levels(width: int) -> np.ndarray:
    """Ascending reconstruction levels, (2^width,) float32, symmetric about zero."""
    count = 1 << (width - 1)
    normal = NormalDist(sigma=math.sqrt(3))  # the density of levels is that of a Gaussian three times as broad
    side = np.array([normal.inv_cdf(0.5 + (i + 0.5) / (2 * count)) for i in range(count)])
    for _ in range(_ROUNDS):
        better = _centroids(np.concatenate([[0.0], (side[1:] + side[:-1]) / 2]))
        if np.abs(better - side).max() < 1e-9:
            break
        side = better
    side = np.rint(side / _GRID) * _GRID
    return np.concatenate([-side[::-1], side]).astype(np.float32)


@cache
def thresholds(width: int) -> np.ndarray:
    """Ascending decision thresholds, (2^width - 1,) float32."""
    found = levels(width)
    return (found[1:] + found[:-1]) / 2


def quantise(values: np.ndarray, width: int) -> np.ndarray:
    """float32 of unit variance -> indices 0 .. 2^width - 1 of the nearest levels, uint8."""
    cells = np.clip(values * np.float32(_CELLS / (2 * _SPAN)) + np.float32(_CELLS / 2), 0, _CELLS - 1).astype(np.int32)
    found, edges = _first(width)[cells], np.append(thresholds(width), np.float32(np.inf))
    return found + (values > edges[found])


@cache
def _first(width: int) -> np.ndarray:
    """Lowest index in each of many cells, none of which holds two thresholds."""
    lower = (np.arange(_CELLS) - _CELLS / 2) * (2 * _SPAN / _CELLS)
    return np.searchsorted(thresholds(width), lower.astype(np.float32)).astype(np.uint8)


def _centroids(edges: np.ndarray) -> np.ndarray:
    """Lower edges of cells on the positive side, the last one unbounded -> their centres of mass."""
    density = np.append(np.exp(-0.5 * edges**2) / math.sqrt(2 * math.pi), 0.0)
    above = np.append([math.erfc(e / math.sqrt(2)) / 2 for e in edges], 0.0)
    return -np.diff(density) / -np.diff(above)
