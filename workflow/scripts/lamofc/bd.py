"""Bjontegaard deltas: PCHIP on log rate after a monotone envelope, refused where curves do not overlap.

Bjontegaard, VCEG-M33 (2001); piecewise cubic Hermite interpolation as in ITU-T HSTP-VID-WPOM (2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from lamofc import ladder

MIN_POINTS = 3
MIN_OVERLAP = 0.25


@dataclass(frozen=True)
class Delta:
    """value: percent of rate, or quality; overlap: common part of the range / range of both together; points of
    (anchor, test) on the envelope; refused: why there is no value, else empty."""

    value: float
    overlap: float
    points: tuple[int, int]
    refused: str = ""


def bd_rate(anchor: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Delta:
    """Mean difference of log rate at equal quality, as percent of the anchor's rate; negative: test needs less.

    anchor, test: (rates, quality), each (points,); rates positive, quality grows as the task gets better.
    """
    curves = [(q, np.log(r)) for r, q in (ladder.front(*anchor), ladder.front(*test))]
    delta = _mean_difference(*curves)
    return Delta(100 * (np.exp(delta.value) - 1), delta.overlap, delta.points, delta.refused)


def bd_quality(anchor: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Delta:
    """Mean difference of quality at equal rate (mean over log rate), in units of quality; positive: test is better."""
    curves = [(np.log(r), q) for r, q in (ladder.envelope(*anchor), ladder.envelope(*test))]
    return _mean_difference(*curves)


def _mean_difference(anchor: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Delta:
    """Mean over the common range of x of y(test) - y(anchor)."""
    points = len(anchor[0]), len(test[0])
    if min(points) < MIN_POINTS:
        who = "anchor" if points[0] < points[1] else "codec"
        return Delta(np.nan, 0.0, points, f"{who} has {min(points)} points on its envelope, {MIN_POINTS} are needed")
    low, high = max(anchor[0][0], test[0][0]), min(anchor[0][-1], test[0][-1])
    total = max(anchor[0][-1], test[0][-1]) - min(anchor[0][0], test[0][0])
    overlap = float(max(0.0, high - low) / total)
    if overlap < MIN_OVERLAP:
        reason = "curves do not overlap" if overlap == 0 else f"curves overlap by {overlap:.0%} only"
        return Delta(np.nan, overlap, points, reason)
    areas = [PchipInterpolator(*curve).integrate(low, high) for curve in (anchor, test)]
    return Delta(float((areas[1] - areas[0]) / (high - low)), overlap, points)
