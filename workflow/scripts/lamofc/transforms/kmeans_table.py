"""Scalar k-means tables: one sorted list of levels per tensor, values <-> level indices.

The "peaky-to-balanced" transform of DT-UFC (arXiv:2506.16495): 256 levels from 1-D k-means spread a heavy-tailed
tensor evenly over [0, 1) when its index is divided by 256.
"""

from __future__ import annotations

import numpy as np

LEVELS = 256
ASSIGN = ("floor", "nearest")
RECON = ("centroid", "midpoint")
MAX_VALUES = 1 << 22  # values a fit looks at; more change the table by less than its rounding
_MAX_ROUNDS = 300
_TOLERANCE = 1e-7  # relative fall of the distortion below which Lloyd's algorithm stops


def fit_table(values: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """Lloyd's algorithm on all values at once -> `levels` ascending centroids, float32.

    Deterministic: the start is the high-rate optimal level density f^(1/3) (Panter and Dite, 1951), and each round is
    exact, from prefix sums over the sorted values; levels without values go to the worst cells. Fewer distinct values
    than levels are each repeated, so that planes still span [0, 1).
    """
    ordered = np.sort(_thinned(np.asarray(values, np.float64).ravel()))
    if not ordered.size:
        return np.zeros(levels, np.float32)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    squares = np.concatenate([[0.0], np.cumsum(ordered**2)])
    centroids, last = _start(ordered, levels), np.inf
    for _ in range(_MAX_ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(ordered, _midpoints(centroids)), [ordered.size]])
        edges = edges[np.concatenate([[True], np.diff(edges) > 0])]  # empty cells vanish
        counts, totals = np.diff(edges), np.diff(sums[edges])
        means = totals / counts
        spread = np.maximum(np.diff(squares[edges]) - means * totals, 0.0)
        centroids = _split_worst(means, spread, counts, levels)
        if means.size == levels and last - spread.sum() <= _TOLERANCE * last:
            break
        last = spread.sum()
    return np.clip(centroids, ordered[0], ordered[-1]).astype(np.float32)


def assign(values: np.ndarray, table: np.ndarray, how: str) -> np.ndarray:
    """Values -> uint8 indices of the same shape: "nearest" level, or the level below ("floor", as published).

    Under "floor" a value below the lowest level takes the lowest.
    """
    if how == "nearest":
        edges = _midpoints(table)
        first, last = (np.searchsorted(edges, values, side) for side in ("left", "right"))
        return ((first + last) // 2).astype(np.uint8)  # the middle one where a level is repeated
    return np.maximum(np.searchsorted(table, values, side="right") - 1, 0).astype(np.uint8)


def points(table: np.ndarray, how: str, recon: str) -> np.ndarray:
    """What each index is decoded to, float32: its level, or the middle of the values that are assigned to it.

    A gap counts as at most twice the gap on the level's other side, since values do not fill the void beside an
    outlier's level; the outermost levels, whose cells have no far end, stay.
    """
    if recon == "centroid":
        return table
    gaps = np.diff(table.astype(np.float64))
    below, above = gaps[:-1], gaps[1:]
    shift = np.zeros(table.size)
    if how == "floor":
        shift[0] = min(gaps[0], 2 * gaps[1]) / 2
        shift[1:-1] = np.minimum(above, 2 * below) / 2
    else:
        shift[1:-1] = (np.minimum(above, 2 * below) - np.minimum(below, 2 * above)) / 4
    return (table + shift).astype(np.float32)


def _midpoints(table: np.ndarray) -> np.ndarray:
    wide = table.astype(np.float64)
    return wide[:-1] + np.diff(wide) / 2


def _split_worst(means: np.ndarray, spread: np.ndarray, counts: np.ndarray, levels: int) -> np.ndarray:
    """Fill up to `levels` by splitting the cells with the greatest distortion, one standard deviation apart."""
    missing = levels - means.size
    worst = np.argsort(-spread, kind="stable")[:missing]
    half = np.sqrt(spread[worst] / counts[worst]) / 2
    kept = np.delete(means, worst)
    out = np.concatenate([kept, means[worst] - half, means[worst] + half])
    return np.sort(out)[np.arange(levels) * out.size // levels]


def _thinned(values: np.ndarray) -> np.ndarray:
    return values[:: max(1, -(-values.size // MAX_VALUES))]


def _start(ordered: np.ndarray, levels: int) -> np.ndarray:
    """Levels at equal steps of the integral of f^(1/3), f estimated from bins of equal mass."""
    at = np.linspace(0, ordered.size - 1, min(ordered.size, 16 * levels) + 1)
    bounds = np.interp(at, np.arange(ordered.size), ordered)
    mass = np.concatenate([[0.0], np.cumsum(np.diff(bounds) ** (2 / 3))])
    if mass[-1] == 0:
        return np.full(levels, ordered[0])
    return np.interp((np.arange(levels) + 0.5) / levels * mass[-1], mass, bounds)
