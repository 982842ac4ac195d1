"""Bits needed for a share of the uncompressed score, with intervals, and which codec may be called the best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lamofc import ladder, statistics
from lamofc.results import outcomes, table

SHARES = (0.99, 0.98, 0.95)


def rate_at(scores: Path, samples: Path, resamples: int = statistics.RESAMPLES) -> pd.DataFrame:
    """One row per (curve, target, codec): bpfp, its 95 % interval, status, share of resamples in which it is best.

    status: "reached"; "at most" when even the ladder's lowest point reaches the target; "not reached".
    tied: "best" for the codec of fewest bits, "tied" where the paired interval of log(rate / best rate), over
    resamples in which the best reaches the target, includes zero.
    """
    rows = table.read(scores)
    parts = []
    for curve, drawn in outcomes.by_curve(samples, rows, resamples):
        ladders = [(codec, points) for _, codec, points in table.ladders(rows[rows.curve == curve])]
        parts += [_at(curve, share, ladders, drawn) for share in SHARES]
    return pd.concat(parts, ignore_index=True)


def _at(curve: str, share: float, ladders: list[tuple[str, pd.DataFrame]], drawn: outcomes.Resamples) -> pd.DataFrame:
    found, resampled = [], []
    for codec, points in ladders:
        first, rates = points.iloc[0], points.bpfp.to_numpy()
        aim = table.target(first, first.reference_quality, share)
        rate, lowest = ladder.rate_at(rates, points.quality.to_numpy(), aim)
        qualities = np.stack([drawn.quality[codec, p] for p in points.point], -1)
        many, _ = ladder.rate_at(rates, qualities, table.target(first, drawn.reference, share))
        low, high = statistics.percentiles(many)
        bound = bool(lowest) and len(points) > 1
        status = "not reached" if np.isinf(rate) else "at most" if bound else "reached"
        found.append({"curve": curve, "target": share, "codec": codec, "family": first.family, "bpfp": float(rate),
                      "bpfp_low": low, "bpfp_high": high, "status": status})  # fmt: skip
        resampled.append(many)
    return _compare(pd.DataFrame(found), np.stack(resampled))


def _compare(found: pd.DataFrame, rates: np.ndarray) -> pd.DataFrame:
    """Add p_best (ties shared) and tied; rates (codecs, resamples)."""
    winners = (rates == rates.min(0)) & np.isfinite(rates)
    found["p_best"] = (winners / np.maximum(winners.sum(0), 1)).mean(1)
    best = int(found.bpfp.to_numpy().argmin())
    if not np.isfinite(found.bpfp[best]):
        return found.assign(tied="")
    ratios = rates[:, np.isfinite(rates[best])] / rates[best, np.isfinite(rates[best])]
    tied = [ok and statistics.percentiles(r)[0] <= 1 for ok, r in zip(np.isfinite(found.bpfp), ratios, strict=True)]
    return found.assign(tied=np.where(np.arange(len(found)) == best, "best", np.where(tied, "tied", "")))
