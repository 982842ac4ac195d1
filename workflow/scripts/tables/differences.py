"""Every point's score against the uncompressed run on the same samples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lamofc import statistics
from lamofc.results import numbers, outcomes, table

CAPTION = (
    "Loss of score against the uncompressed run on the same samples, in the score's unit, positive: worse, with 95 % "
    "intervals by paired bootstrap; flips: samples whose outcome a user sees change."
)


def make(scores: Path, samples: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    rows = table.read(scores)
    drawn = dict(outcomes.by_curve(samples, rows))
    lines = []
    for row in rows.itertuples():
        of = drawn[row.curve]
        low, high = statistics.percentiles(of.reference - of.quality[row.codec, row.point])
        lines.append({"curve": row.curve, "codec": row.codec, "family": row.family, "point": row.point,
                      "bpfp": row.bpfp, "loss": row.reference_quality - row.quality, "loss_low": low,
                      "loss_high": high, "flips": row.flips, "n": row.n})  # fmt: skip
    tidy = pd.DataFrame(lines)
    printed = pd.DataFrame(
        {"curve": r.curve, "codec": r.codec, "point": r.point, "bpfp": numbers.plain(r.bpfp),
         "loss": numbers.rounded(r.loss, r.loss_low, r.loss_high), "flips": f"{r.flips} of {r.n}"}
        for r in tidy.itertuples()
    )  # fmt: skip
    return tidy, printed, CAPTION
