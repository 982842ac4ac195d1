"""The measured point at which a codec would be run: the lowest rate that keeps a share of the score."""

from __future__ import annotations

import pandas as pd

from lamofc.results import table

SHARE = 0.99


def points(rows: pd.DataFrame, share: float = SHARE) -> pd.DataFrame:
    """One row of the table per (curve, codec): the lowest point that, like all above it, keeps `share` of the score.

    A measured row, nothing interpolated. Codecs whose highest point misses the target have no row.
    """
    return pd.DataFrame([p for p in (_lowest(own, share) for *_, own in table.ladders(rows)) if p is not None])


def _lowest(own: pd.DataFrame, share: float) -> pd.Series | None:
    found = None
    for _, row in own.iloc[::-1].iterrows():
        if row.quality < table.target(row, row.reference_quality, share):
            break
        found = row
    return found
