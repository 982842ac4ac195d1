"""Bits per feature point needed for 99, 98 and 95 % of the uncompressed score."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lamofc.results import numbers, targets

CAPTION = (
    "Bits per feature point needed for 99 / 98 / 95 % of the uncompressed score, with 95 % intervals (paired bootstrap "
    "over samples). ≤: the ladder's lowest point still reaches it. – : not reached. "
    "* : fewest bits in this column, or not told apart from it at 95 %."
)


def make(scores: Path, samples: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    tidy = targets.rate_at(scores, samples)
    named = tidy.assign(cell=[_cell(r) for r in tidy.itertuples()], at=[f"{t:.0%}" for t in tidy.target])
    wide = named.pivot(index=["curve", "codec"], columns="at", values="cell")
    order = named[["curve", "codec"]].drop_duplicates()
    printed = wide.loc[list(order.itertuples(index=False, name=None)), [f"{t:.0%}" for t in targets.SHARES]]
    return tidy, printed.reset_index(), CAPTION


def _cell(row: object) -> str:
    if row.status == "not reached":
        return numbers.MISSING
    bound, star = "≤ " if row.status == "at most" else "", " *" if isinstance(row.tied, str) and row.tied else ""
    return bound + numbers.rounded(row.bpfp, row.bpfp_low, row.bpfp_high) + star
