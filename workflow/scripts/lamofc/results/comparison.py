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
                fixed = [_fixed(own[c], measure) for c in pair]
                varied = [_varied(own[c], measure, drawn, c) for c in pair]
                parts.append({"curve": curve, "codec": codec, "family": own[codec].family.iloc[0], "anchor": anchor,
                              "measure": measure} | _row(fixed, varied, delta))  # fmt: skip
    return pd.DataFrame(parts)


def _row(fixed: list[Pair], varied: list[tuple[np.ndarray, np.ndarray]], delta: Callable) -> dict[str, object]:
    if len(fixed) < 2:
        found = bd.Delta(np.nan, 0.0, (0, len(fixed[0][0])), "the anchor was not run on this curve")
    else:
        found = delta(*map(_finite, fixed))
    low = high = np.nan
    if not found.refused:
        count = len(varied[0][1])
        values = [delta(*(_finite((r, q[i])) for r, q in varied)).value for i in range(count)]
        values = [v for v in values if np.isfinite(v)]
        low, high = statistics.percentiles(np.array(values)) if len(values) > count / 2 else (np.nan, np.nan)
    return {"value": found.value, "low": low, "high": high, "overlap": found.overlap,
            "anchor_points": found.points[0], "points": found.points[1], "refused": found.refused}  # fmt: skip


def _finite(pair: Pair) -> Pair:
    keep = np.isfinite(pair[1])
    return pair[0][keep], pair[1][keep]


def _fixed(points: pd.DataFrame, measure: str) -> Pair:
    values = points.quality if measure == "score" else fidelity(points.damage.to_numpy())
    return points.bpfp.to_numpy(), np.asarray(values, float)


def _varied(points: pd.DataFrame, measure: str, drawn: outcomes.Resamples, codec: str) -> tuple[np.ndarray, np.ndarray]:
    """Rates (points,) and quality (resamples, points)."""
    source = drawn.quality if measure == "score" else drawn.damage
    values = np.stack([source[codec, p] for p in points.point], -1)
    return points.bpfp.to_numpy(), values if measure == "score" else fidelity(values)


def fidelity(damage: np.ndarray) -> np.ndarray:
    """-log10(damage); inf where there is none."""
    with np.errstate(divide="ignore"):
        return -np.log10(damage)
