"""BD-rate and BD-score of every codec against an anchor, on the score and on the finer damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from lamofc import bd, statistics
from lamofc.errors import ConfigError
from lamofc.results import outcomes, table

RESAMPLES = 100  # each costs two interpolations per codec and measure
MEASURES = ("score", "damage")
Pair = tuple[np.ndarray, np.ndarray]


def against(
    scores: Path, samples: Path, anchor: str, delta: Callable[[Pair, Pair], bd.Delta], resamples: int = RESAMPLES
) -> pd.DataFrame:
    """One row per (curve, codec, measure) with value, 95 % interval, overlap, points and why it was refused.

    On damage, quality is -log10(damage); points without damage have none and are left out.
    """
    rows = table.read(scores)
    if anchor not in set(rows.codec):
        known = ", ".join(rows.codec.unique())
        raise ConfigError(f"config key anchor: {anchor!r} is no codec of this run; it has {known}")
    parts = []
    for curve, drawn in outcomes.by_curve(samples, rows, resamples):
        own = {codec: points for _, codec, points in table.ladders(rows[rows.curve == curve])}
        for codec in [c for c in own if c != anchor]:
            for measure in MEASURES:
                pair = [c for c in (anchor, codec) if c in own]
                pairs = [fixed(own[c], measure) for c in pair]
                draws = [varied(own[c], measure, drawn, c) for c in pair]
                parts.append({"curve": curve, "codec": codec, "family": own[codec].family.iloc[0], "anchor": anchor,
                              "measure": measure} | _row(pairs, draws, delta))  # fmt: skip
    return pd.DataFrame(parts)


def _row(pairs: list[Pair], draws: list[tuple[np.ndarray, np.ndarray]], delta: Callable) -> dict[str, object]:
    if len(pairs) < 2:
        found = bd.Delta(np.nan, 0.0, (0, len(pairs[0][0])), "the anchor was not run on this curve")
    else:
        found = value(pairs, delta)
    low, high = interval(resampled(draws, delta)) if not found.refused else (np.nan, np.nan)
    return {"value": found.value, "low": low, "high": high, "overlap": found.overlap,
            "anchor_points": found.points[0], "points": found.points[1], "refused": found.refused}  # fmt: skip


def resampled(draws: list[tuple[np.ndarray, np.ndarray]], delta: Callable[[Pair, Pair], bd.Delta]) -> np.ndarray:
    """The value of every resample (resamples,), NaN where it is refused. draws: what `varied` gives of both codecs."""
    count = len(draws[0][1])
    return np.array([delta(*(_finite((r, q[i])) for r, q in draws)).value for i in range(count)])


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval over the resamples that gave a value; NaN where fewer than half did."""
    found = values[np.isfinite(values)]
    return statistics.percentiles(found) if len(found) > len(values) / 2 else (np.nan, np.nan)


def value(pairs: list[Pair], delta: Callable[[Pair, Pair], bd.Delta]) -> bd.Delta:
    """The delta of (anchor, test), points without a finite quality left out."""
    return delta(*map(_finite, pairs))


def _finite(pair: Pair) -> Pair:
    keep = np.isfinite(pair[1])
    return pair[0][keep], pair[1][keep]


def fixed(points: pd.DataFrame, measure: str) -> Pair:
    """Rates and quality (points,) as measured."""
    values = points.quality if measure == "score" else fidelity(points.damage.to_numpy())
    return points.bpfp.to_numpy(), np.asarray(values, float)


def varied(points: pd.DataFrame, measure: str, drawn: outcomes.Resamples, codec: str) -> tuple[np.ndarray, np.ndarray]:
    """Rates (points,) and quality (resamples, points)."""
    source = drawn.quality if measure == "score" else drawn.damage
    values = np.stack([source[codec, p] for p in points.point], -1)
    return points.bpfp.to_numpy(), values if measure == "score" else fidelity(values)


def fidelity(damage: np.ndarray) -> np.ndarray:
    """-log10(damage); inf where there is none."""
    with np.errstate(divide="ignore"):
        return -np.log10(damage)
