"""Does each ladder do what a ladder must: fall in rate, begin without visible loss, end clearly broken?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lamofc.results import numbers, table

CAPTION = (
    "Ladders as they ran. rate falls: every point has fewer bytes than the one before. start: flips at the first "
    "point, and whether its 95 % interval holds the uncompressed score. end: the same at the last point, which is "
    "broken when its interval no longer holds that score. lossless: every point gave the features back bit for bit "
    "and no outcome flipped."
)


def make(scores: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    rows = table.read(scores)
    groups = rows.groupby(["curve", "codec"], sort=False)
    tidy = pd.DataFrame([{"curve": c, "codec": a} | describe(own) for (c, a), own in groups])
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


def describe(own: pd.DataFrame) -> dict[str, object]:
    """One ladder, rows in its order."""
    first, last = own.iloc[0], own.iloc[-1]
    exact = bool((own.rel_mse == 0).all() and (own.flips == 0).all() and (own.score == own.reference_score).all())
    single = len(own) == 1
    return {
        "points": len(own),
        "rate_falls": bool((own.bytes.diff().dropna() < 0).all()),
        "flips_first": int(first.flips),
        "start": "lossless" if exact else "no visible loss" if _holds(first) else "VISIBLE LOSS",
        "flips_last": int(last.flips),
        "end": "-" if single else "NOT BROKEN" if _holds(last) else "broken",
    }


def _holds(row: pd.Series) -> bool:
    return bool(row.score_low <= row.reference_score <= row.score_high)
