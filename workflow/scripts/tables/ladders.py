"""Does each ladder do what a ladder must: fall in rate, begin without visible loss, end clearly broken?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from lamofc import statistics
from lamofc.results import numbers, outcomes, table

ANSWERS_BROKEN = 1 / 3  # share of outcomes that flip
CAPTION = (
    "Ladders as they ran. rate falls: every point has fewer bytes than the one before. start: flips at the first "
    "point; a loss is visible when some outcome flips and the 95 % interval of the loss of score against the "
    "uncompressed run on the same samples (paired bootstrap) lies above zero. end: the same at the last point, which "
    "is broken when that interval lies above zero; answers broken: so few samples do not tell, but at least a third "
    "of the outcomes differ from the uncompressed run's. lossless: every point gave the features back bit for bit and "
    "no outcome flipped."
)


def make(scores: Path, samples: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    rows = table.read(scores)
    drawn = dict(outcomes.by_curve(samples, rows))
    groups = rows.groupby(["curve", "codec"], sort=False)
    tidy = pd.DataFrame([{"curve": c, "codec": a} | describe(own, partial(_loses, drawn[c])) for (c, a), own in groups])
    printed = pd.DataFrame(
        {
            "curve": tidy.curve,
            "codec": tidy.codec,
            "points": tidy.points,
            "rate falls": tidy.rate_falls.map({True: "yes", False: "NO"}),
            "start": [f"{r.flips_first} flips, {r.start}" for r in tidy.itertuples()],
            "end": [numbers.MISSING if r.end == "-" else f"{r.flips_last} flips, {r.end}" for r in tidy.itertuples()],
        }
    )
    return tidy, printed, CAPTION


def describe(own: pd.DataFrame, loses: Callable[[pd.Series], bool]) -> dict[str, object]:
    """One ladder, rows in its order; `loses` tells whether a row's score is below the uncompressed one."""
    first, last = own.iloc[0], own.iloc[-1]
    exact = bool((own.rel_mse == 0).all() and (own.flips == 0).all() and (own.score == own.reference_score).all())
    single = len(own) == 1
    return {
        "points": len(own),
        "rate_falls": bool((own.bytes.diff().dropna() < 0).all()),
        "flips_first": int(first.flips),
        "start": "lossless" if exact else "VISIBLE LOSS" if first.flips and loses(first) else "no visible loss",
        "flips_last": int(last.flips),
        "end": "-" if single else _end(last, loses),
    }


def _end(last: pd.Series, loses: Callable[[pd.Series], bool]) -> str:
    if loses(last):
        return "broken"
    return "answers broken" if last.flips >= ANSWERS_BROKEN * last.n else "NOT BROKEN"


def _loses(drawn: outcomes.Resamples, row: pd.Series) -> bool:
    """The loss of score on the same samples is told from none."""
    return statistics.percentiles(drawn.reference - drawn.quality[row.codec, row.point])[0] > 0
