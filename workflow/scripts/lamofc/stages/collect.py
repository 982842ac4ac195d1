"""All scores that the config names -> one tidy table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lamofc.jsonio import read_json, write_text

FIRST = (
    "category scenario stands_for model split codec point n elements bytes asset_bytes bpfp ebpfp rel_mse cosine metric "
    "score score_low score_high reference_score flips encode_mbps decode_mbps commit"
).split()


def collect(scores: Sequence[Path], tsv: Path, parquet: Path) -> None:
    """One row per (curve, codec, point); numbers with 6 significant digits in the TSV, exact in Parquet."""
    table = pd.DataFrame([row for path in scores for row in read_json(path)["rows"]])
    table = table[[*FIRST, *sorted(set(table.columns) - set(FIRST))]]
    write_text(tsv, table.to_csv(sep="\t", index=False, float_format="%.6g", na_rep=""))
    partial = parquet.with_name(f".{parquet.name}.partial")
    table.to_parquet(partial, index=False)
    os.replace(partial, parquet)
    print(f"{len(table)} rows from {len(scores)} files", flush=True)
