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
from lamofc.tasks.refusal import COUNTED

COLUMNS = ["curve", "category", "scenario", "stands_for", "model", "split", "n", "elements", "metric", "unit", "chance"]
_ENDS = ("", "_low", "_high")
CAPTION = (
    "Uncompressed scores with 95 % intervals (Wilson's where samples are right or wrong, else bootstrap), chance, "
    "number of samples, feature points and native bytes per sample, and milliseconds of head, tail and unsplit model "
    "per sample: medians of eight, each alone, after one to warm up, one thread of the machine of this run. "
    "contrast: the same rate, with its interval, of samples that stand beside those that count, such as refusals of "
    "harmless requests."
)


def make(scores: Path, samples: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    rows = table.read(scores)
    tidy = rows.drop_duplicates("curve")
    timed = ["head_seconds", "tail_seconds", "unsplit_seconds"]
    outcomes = {curve: _uncompressed(own) for curve, own in pd.read_parquet(samples).groupby("curve", sort=False)}
    low, high = (np.array([_interval(*outcomes[c])[i] for c in tidy.curve]) for i in (0, 1))
    beside = {f"contrast{end}": [_contrast(outcomes[c][1])[i] for c in tidy.curve] for i, end in enumerate(_ENDS)}
    higher = tidy.higher_is_better
    tidy = tidy[COLUMNS + timed].assign(
        score=tidy.reference_score, score_low=low, score_high=high,
        above_chance=np.where(tidy.chance.isna(), None, np.where(higher, low > tidy.chance, high < tidy.chance)),
        native_bytes=(tidy.ratio * tidy.bytes).round().astype(int), **beside,
    )  # fmt: skip
    return tidy, _printed(tidy), CAPTION


def _uncompressed(rows: pd.DataFrame) -> tuple[str, dict[str, np.ndarray]]:
    """Task and outcomes of a curve; `rows` are its samples, of which each codec and point has the same."""
    first = rows.iloc[0]
    own = rows[(rows.codec == first.codec) & (rows.point == first.point)].dropna(axis=1, how="all")
    return first.task, {c.removeprefix(REFERENCE): own[c].to_numpy() for c in own.columns if c.startswith(REFERENCE)}


def _interval(task: str, outcomes: dict[str, np.ndarray]) -> tuple[float, float]:
    if COUNTED in outcomes:
        return _share(outcomes["correct"][outcomes[COUNTED] == 1])[1:]
    # A score is a function of outcomes alone, so that no data set needs to be there.
    scored = SimpleNamespace(score=partial(tasks.load(task).score, None))
    low, high = statistics.interval(scored, outcomes)
    return min(low, high), max(low, high)


def _contrast(outcomes: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Of the samples that are not counted; NaN where all are."""
    return _share(outcomes["correct"][outcomes[COUNTED] == 0] if COUNTED in outcomes else np.empty(0))


def _share(correct: np.ndarray) -> tuple[float, float, float]:
    """Percent, and Wilson's interval; NaN of no samples."""
    if not len(correct):
        return float("nan"), float("nan"), float("nan")
    low, high = statistics.wilson(float(correct.sum()), len(correct))
    return 100 * float(correct.mean()), 100 * low, 100 * high


def _printed(tidy: pd.DataFrame) -> pd.DataFrame:
    """Without the column of contrasts where no curve has one."""
    printed = pd.DataFrame(
        {
            "curve": r.curve,
            "stands for": r.stands_for,
            "metric": f"{r.metric} ({r.unit})" if r.unit else r.metric,
            "score": numbers.rounded(r.score, r.score_low, r.score_high),
            "chance": numbers.plain(r.chance, 2),
            "contrast": numbers.rounded(r.contrast, r.contrast_low, r.contrast_high),
            "n": str(r.n),
            "points/sample": f"{r.elements / r.n:.0f}",
            "kB/sample": numbers.plain(r.native_bytes / r.n / 1e3),
            "head / tail / unsplit (ms)": " / ".join(
                numbers.plain(1e3 * s, 2) for s in (r.head_seconds, r.tail_seconds, r.unsplit_seconds)
            ),
        }
        for r in tidy.itertuples()
    )
    return printed if tidy.contrast.notna().any() else printed.drop(columns="contrast")
