"""What the models score without compression, and how sure that is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from lamofc import statistics, tasks
from lamofc.results import numbers, table
from lamofc.results.outcomes import REFERENCE

COLUMNS = ["curve", "category", "scenario", "stands_for", "model", "split", "n", "elements", "metric", "unit", "chance"]
CAPTION = (
    "Uncompressed scores with 95 % intervals (Wilson's where samples are right or wrong, else bootstrap), chance, "
    "number of samples, feature points and native bytes per sample, and milliseconds of head, tail and unsplit model "
    "per sample: medians of eight, each alone, after one to warm up, one thread of the machine of this run."
)


def make(scores: Path, samples: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    rows = table.read(scores)
    tidy = rows.drop_duplicates("curve")
    timed = ["head_seconds", "tail_seconds", "unsplit_seconds"]
    ends = {curve: _interval(own) for curve, own in pd.read_parquet(samples).groupby("curve", sort=False)}
    low, high = (np.array([ends[c][i] for c in tidy.curve]) for i in (0, 1))
    higher = tidy.higher_is_better
    tidy = tidy[COLUMNS + timed].assign(
        score=tidy.reference_score, score_low=low, score_high=high,
        above_chance=np.where(tidy.chance.isna(), None, np.where(higher, low > tidy.chance, high < tidy.chance)),
        native_bytes=(tidy.ratio * tidy.bytes).round().astype(int),
    )  # fmt: skip
    return tidy, _printed(tidy), CAPTION


def _interval(rows: pd.DataFrame) -> tuple[float, float]:
    """Of the uncompressed score; `rows` are the samples of one curve, the same for each codec and point."""
    first = rows.iloc[0]
    own = rows[(rows.codec == first.codec) & (rows.point == first.point)].dropna(axis=1, how="all")
    names = [c for c in own.columns if c.startswith(REFERENCE)]
    # A score is a function of outcomes alone, so that no data set needs to be there.
    scored = SimpleNamespace(score=partial(tasks.load(first.task).score, None))
    low, high = statistics.interval(scored, {n.removeprefix(REFERENCE): own[n].to_numpy() for n in names})
    return min(low, high), max(low, high)


def _printed(tidy: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "curve": r.curve,
            "stands for": r.stands_for,
            "metric": f"{r.metric} ({r.unit})" if r.unit else r.metric,
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
