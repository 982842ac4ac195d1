"""One line per codec: where it stands over all curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lamofc.results import numbers, table

CAPTION = (
    "Codecs over all curves: on how many 99 % of the uncompressed score is reached, on how many with the fewest bits "
    "or a number that cannot be told apart from it, bits per feature point at 99 % relative to the anchor (geometric "
    "mean over the curves, their number in brackets, where both reach it), speed and decoder assets (medians)."
)


def make(scores: Path, rates: Path, anchor: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    rows, at = table.read(scores), pd.read_csv(rates, sep="\t")
    at = at[at.target == at.target.max()]
    base = at[at.codec == anchor].set_index("curve").bpfp
    lines = [_line(codec, own, at[at.codec == codec], base) for codec, own in rows.groupby("codec", sort=False)]
    tidy = pd.DataFrame(lines)
    return tidy, _printed(tidy, anchor), CAPTION


def _line(codec: str, own: pd.DataFrame, at: pd.DataFrame, base: pd.Series) -> dict[str, object]:
    reached = at[np.isfinite(at.bpfp)]
    logs = np.log(reached.set_index("curve").bpfp / base[np.isfinite(base)]).dropna()
    return {"codec": codec, "family": own.family.iloc[0], "curves": own.curve.nunique(), "points": len(own),
            "reached": len(reached), "fewest": int(at.tied.notna().sum()), "compared": len(logs),
            "relative_bits": float(np.exp(logs.mean())) if len(logs) else np.nan,
            "encode_mbps": own.encode_mbps.median(), "decode_mbps": own.decode_mbps.median(),
            "asset_bytes": own.asset_bytes.median()}  # fmt: skip


def _printed(tidy: pd.DataFrame, anchor: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "codec": r.codec,
            "family": r.family,
            "99 % reached": f"{r.reached} of {r.curves}",
            "fewest bits or tied": str(r.fewest),
            f"bits at 99 % / {anchor}": _relative(r.relative_bits, r.compared),
            "encode MB/s": numbers.plain(r.encode_mbps, 2),
            "decode MB/s": numbers.plain(r.decode_mbps, 2),
            "assets kB": numbers.plain(r.asset_bytes / 1e3, 2),
        }
        for r in tidy.itertuples()
    )


def _relative(bits: float, curves: int) -> str:
    return f"{numbers.plain(bits)} ({curves})" if curves else numbers.MISSING
