"""The measured point at which a codec would be run, the lowest that keeps a share of the score; codecs in that order."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lamofc import ladder
from lamofc.results import table

SHARE = 0.99
RANKED = 0.95  # share of the score by which codecs are put in order


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


def ranking(rows: pd.DataFrame) -> list[str]:
    """Codecs by bits for 95 % of the score, mean over curves of the log share of the uncompressed bits.

    A curve that a codec does not reach, or was not run on, counts as uncompressed: one order for all panels, not the
    luckiest codec of each. Transferred codecs are left out; they are another figure's.
    """
    bits = {}
    for curve, codec, points in table.ladders(rows[~rows.codec.str.endswith("-zero-shot")]):
        first = points.iloc[0]
        aim = table.target(first, first.reference_quality, RANKED)
        rate = float(ladder.rate_at(points.bpfp.to_numpy(), points.quality.to_numpy(), aim)[0])
        bits[curve, codec] = min(0.0, np.log(rate / (first.bpfp * first.ratio)))
    found = pd.Series(bits).unstack(fill_value=0.0)
    return list(found.mean().sort_values(kind="stable").index)
