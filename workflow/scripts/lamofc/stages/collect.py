"""All scores that the config names -> one tidy table, and the samples behind its scores as another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lamofc.jsonio import read_json, write_text
from lamofc.whole import whole_file

FIRST = [
    "category", "scenario", "stands_for", "model", "split", "codec", "point", "n", "elements", "bytes",
    "asset_bytes", "bpfp", "ebpfp", "rel_mse", "cosine", "metric", "score", "score_low", "score_high",
    "reference_score", "flips", "encode_mbps", "decode_mbps", "commit",
]  # fmt: skip


def collect(scores: Sequence[Path], tsv: Path, parquet: Path, outcomes: Path) -> None:
    """One row per (curve, codec, point); numbers with 6 significant digits in the TSV, exact in Parquet.

    `outcomes`: one row per (curve, codec, point, sample) with what the task's score aggregates, damage, flip, and
    the uncompressed run's outcome as `reference.<name>`; the bootstrap pairs samples over codecs with it.
    """
    files = [read_json(path) for path in scores]
    table = pd.DataFrame([row for file in files for row in file["rows"]])
    table = table[[*FIRST, *sorted(set(table.columns) - set(FIRST))]]
    write_text(tsv, table.to_csv(sep="\t", index=False, float_format="%.6g", na_rep=""))
    _write_parquet(table, parquet)
    _write_parquet(pd.concat([p for file in files for p in _samples(file)], ignore_index=True), outcomes)
    print(f"{len(table)} rows from {len(scores)} files", flush=True)


def _samples(file: Mapping[str, Any]) -> Iterator[pd.DataFrame]:
    reference = {f"reference.{k}": v for k, v in file["reference"].items()}
    for row in file["rows"]:
        point = row["point"]
        own = file["outcomes"][point] | {"damage": file["damages"][point], "flip": file["flips"][point]}
        names = {k: row[k] for k in ("curve", "codec", "point", "task")}
        yield pd.DataFrame(names | {"sample": range(len(own["damage"]))} | own | reference)


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)
