"""Intervals of scores: over samples, at 95 %."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lamofc.interfaces import Task

RESAMPLES = 2000
BLOCK = 1 << 17  # indices that `interval` holds at a time
Z95 = 1.959963984540054


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a proportion, as fractions; sound at 0 and n where the bootstrap collapses."""
    centre = (successes + Z95**2 / 2) / (n + Z95**2)
    half = Z95 / (n + Z95**2) * np.sqrt(successes * (n - successes) / n + Z95**2 / 4)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def resample(n: int, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """Indices (resamples, n), the same for every codec: differences are paired."""
    return np.random.default_rng(seed).integers(0, n, (resamples, n))


def interval(task: Task, outcomes: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """95 % interval of a score: Wilson's where each sample is right or wrong, else percentile bootstrap."""
    n = len(next(iter(outcomes.values())))
    if set(outcomes) == {"correct"}:
        low, high = wilson(float(outcomes["correct"].sum()), n)
        ends = task.score({"correct": np.array([low])}), task.score({"correct": np.array([high])})
        return float(ends[0]), float(ends[1])
    rng, rows = np.random.default_rng(0), max(1, BLOCK // n)  # the rows of `resample`, a block of them at a time
    scores = [
        task.score({k: v[chosen] for k, v in outcomes.items()})
        for start in range(0, RESAMPLES, rows)
        for chosen in [rng.integers(0, n, (min(rows, RESAMPLES - start), n))]
    ]
    low, high = np.quantile(np.concatenate(scores), [0.025, 0.975])
    return float(low), float(high)


def paired(task: Task, outcomes: Mapping[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Scores (resamples,) of the samples `chosen` (resamples, n) by `resample`: equal rows of it pair codecs."""
    return np.asarray(task.score({k: v[chosen] for k, v in outcomes.items()}), float)


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile interval over resamples; an end is inf where that many resamples are."""
    low, high = np.quantile(values, [0.025, 0.975], axis=0, method="inverted_cdf")
    return float(low), float(high)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's, ties at their mean rank; NaN where one side is constant."""
    ranks = [_ranks(v) for v in (x, y)]
    if min(np.ptp(r) for r in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def weighted_rank_correlations(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's of points (points,) that are there weights (resamples, points) times each; NaN as above."""
    weights = np.asarray(weights, float)
    total = weights.sum(1, keepdims=True)
    ranks = [_weighted_ranks(v, weights) for v in (x, y)]
    centred = [r - (weights * r).sum(1, keepdims=True) / total for r in ranks]
    squares = [(weights * c * c).sum(1) for c in centred]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (weights * centred[0] * centred[1]).sum(1) / np.sqrt(squares[0] * squares[1])
    return np.where(np.minimum(*squares) > 1e-9, found, np.nan)


def _weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    _, inverse = np.unique(values, return_inverse=True)
    counts = np.stack([np.bincount(inverse, w) for w in weights])
    return (np.cumsum(counts, 1) - (counts - 1) / 2)[:, inverse]
