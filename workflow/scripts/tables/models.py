"""What the models score without compression, and how sure that is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lamofc import statistics
from lamofc.results import numbers, outcomes, table

COLUMNS = ["curve", "category", "scenario", "stands_for", "model", "split", "n", "elements", "metric", "unit", "chance"]
CAPTION = (
    "Uncompressed scores with 95 % intervals, chance level, number of samples, feature points and native bytes per "
    "sample, and seconds of head, tail and unsplit model per sample on the machine of this run."
)


def make(scores: Path, samples: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    rows = table.read(scores)
    tidy = rows.drop_duplicates("curve")
    timed = ["head_seconds", "tail_seconds", "unsplit_seconds"]
    ends = {curve: statistics.percentiles(drawn.reference) for curve, drawn in outcomes.by_curve(samples, rows)}
    low, high = (np.array([ends[c][i] for c in tidy.curve]) for i in (0, 1))
    turned, errors = ~tidy.higher_is_better & (tidy.unit == "%"), ~tidy.higher_is_better
    low, high = (np.where(turned, 100 - v, np.where(errors, -v, v)) for v in (low, high))
    tidy = tidy[COLUMNS + timed].assign(
        score=tidy.reference_score, score_low=np.minimum(low, high), score_high=np.maximum(low, high),
        native_bytes=(tidy.ratio * tidy.bytes).round().astype(int),
    )  # fmt: skip
    return tidy, _printed(tidy), CAPTION


def _printed(tidy: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "curve": r.curve,
            "stands for": r.stands_for,
            "metric": f"{r.metric} ({r.unit})",
            "score": numbers.rounded(r.score, r.score_low, r.score_high),
            "chance": numbers.plain(r.chance, 2),
            "n": str(r.n),
            "points/sample": f"{r.elements / r.n:.0f}",
            "kB/sample": numbers.plain(r.native_bytes / r.n / 1e3),
            "head / tail / unsplit (ms)": " / ".join(
                numbers.plain(1e3 * s, 2) for s in (r.head_seconds, r.tail_seconds, r.unsplit_seconds)
            ),
        }
        for r in tidy.itertuples()
    )
