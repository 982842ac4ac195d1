"""At which bandwidths a split with each codec is faster than its alternatives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lamofc.results import latency, numbers, table

CAPTION = (
    "Bandwidths at which splitting, with each codec at its lowest point that keeps 99 % of the score, is faster than "
    "sending the features uncompressed, than sending the compressed input (the smallest that keeps 99 % of the score), "
    "and than the sender alone; from times measured on the machine of this run, sender {sender:g} x and receiver "
    "{receiver:g} x as fast. kB: sent per sample; ms: per sample without transmission."
)


def make(scores: Path, inputs: Path, devices: Mapping[str, float]) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    options = latency.options(table.read(scores), pd.read_csv(inputs, sep="\t"), devices)
    lines = [line for _, own in options.groupby("curve", sort=False) for line in _lines(own)]
    tidy = pd.DataFrame(lines)
    return tidy, _printed(tidy), CAPTION.format(**devices)


def _lines(own: pd.DataFrame) -> list[dict[str, object]]:
    splits = own[own.kind == "split"]
    rivals = {
        "raw": splits[splits.name == latency.RAW],
        "input": own[own.kind == "input"].sort_values("bytes"),
        "sender": own[own.kind == "sender"],
    }
    lines = []
    for _, split in splits[splits.name != latency.RAW].iterrows():
        line = {"curve": split.curve, "codec": split["name"], "bytes": split.bytes, "seconds": split.seconds}
        for name, rival in rivals.items():
            bandwidth, where = latency.crossing(split, rival.iloc[0]) if len(rival) else (np.nan, "")
            line |= {f"faster_than_{name}": where, f"bandwidth_{name}": bandwidth}
        lines.append(line)
    return lines


def _printed(tidy: pd.DataFrame) -> pd.DataFrame:
    titles = {"raw": "than raw features", "input": "than the input", "sender": "than the sender alone"}
    return pd.DataFrame(
        {"curve": r["curve"], "codec": r["codec"], "kB": numbers.plain(r["bytes"] / 1e3),
         "ms": numbers.plain(1e3 * r["seconds"])}
        | {title: _range(r[f"faster_than_{k}"], r[f"bandwidth_{k}"]) for k, title in titles.items()}
        for r in tidy.to_dict("records")
    )  # fmt: skip


def _range(where: str, bandwidth: float) -> str:
    if where not in ("below", "above"):
        return where or numbers.MISSING
    exponent = int(np.clip(np.floor(np.log10(bandwidth) / 3), 0, 3))
    return f"{where} {numbers.plain(bandwidth / 1000**exponent, 2)} {('', 'k', 'M', 'G')[exponent]}bit/s"
