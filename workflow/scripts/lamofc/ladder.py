"""A codec's points on one curve as a function of rate: monotone envelope and the rate where a target is reached."""

from __future__ import annotations

import numpy as np


def envelope(rates: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in order of rate, each with the best quality that its rate or a lower one gives.

    rates, quality: (points,), quality grows as the task gets better. Of points with equal rate the best stays.
    """
    order = np.lexsort((-quality, rates))
    rates, quality = rates[order], np.maximum.accumulate(quality[order])
    last = np.append(np.diff(rates) > 0, [True] * bool(len(rates))).astype(bool)
    return rates[last], quality[last]


def front(rates: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The envelope's points where quality rises: rate as a function of quality, both strictly increasing."""
    rates, quality = envelope(rates, quality)
    rises = np.diff(quality, prepend=-np.inf) > 0
    return rates[rises], quality[rises]


def rate_at(rates: np.ndarray, quality: np.ndarray, target: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Smallest rate from which on every point of the ladder reaches the target, by resample.

    rates: (points,), all positive; quality: (..., points); target: broadcastable to (...).
    Between the last point that misses the target and the next, quality is taken as linear in log rate. A lucky
    point below one that misses does not count.
    Returns rates (...), inf where the point of highest rate misses the target, and a mask (...), True where the
    point of lowest rate reaches it, so that its rate is an upper bound.
    """
    order = np.argsort(rates, kind="stable")
    log, quality = np.log(rates[order]), quality[..., order]
    target = np.broadcast_to(np.asarray(target, float), quality.shape[:-1])
    missed = quality < target[..., None]
    count = len(rates)
    below = np.where(missed.any(-1), count - 1 - np.argmax(missed[..., ::-1], -1), -1)  # last that misses
    left, right = np.clip(below, 0, count - 1), np.clip(below + 1, 0, count - 1)
    low, high = (np.take_along_axis(quality, i[..., None], -1)[..., 0] for i in (left, right))
    share = np.where(high > low, (target - low) / np.where(high > low, high - low, 1), 0.0)
    found = np.exp(log[left] + np.clip(share, 0, 1) * (log[right] - log[left]))
    found = np.where(below < 0, np.exp(log[0]), found)
    return np.where(below == count - 1, np.inf, found), below < 0
