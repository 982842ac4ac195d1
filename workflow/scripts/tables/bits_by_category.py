"""What each codec exploits, and the bits it needs for 99 and 95 % of the score in each category."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lamofc
from lamofc.results import numbers, sections, table, targets

FINE, LOOSE = max(targets.SHARES), min(targets.SHARES)
CAPTION = (
    "Bits per feature point for 99 % / 95 % of the uncompressed score: medians over the curves of a category on which "
    "the codec ran, one that does not reach a share counted as endless; in brackets on how many it reaches 99 %. – : "
    "not reached on half of the curves or more, or not run (no brackets). With 40 questions a curve one answer decides "
    "over 99 %; 95 % is steadier. Medians are over few curves and no ranking: which codec may be called the best on a "
    "curve, by paired bootstrap, is in the tables rate_at and codecs."
)


def make(scores: Path, rates: Path, families: Mapping[str, str], coders: Mapping[str, Mapping[str, Any]]) -> tuple[
    pd.DataFrame, pd.DataFrame, str
]:  # fmt: skip
    """coders: {codec: {"file": below lamofc/, "parameters"}}, whose first sentence says what the codec exploits."""
    rows, at = table.read(scores), pd.read_csv(rates, sep="\t")
    groups = sections.of(rows, families)
    of_curve = {curve: section for section, curves in groups.items() for curve in curves}
    at = at.assign(section=at.curve.map(of_curve))
    own, loose = (at[at.target == share].groupby(["codec", "section"]) for share in (FINE, LOOSE))
    found = {
        "bits": own.bpfp.median(),
        "bits_loose": loose.bpfp.median(),
        "reached": own.bpfp.apply(lambda b: int(np.isfinite(b).sum())),
        "curves": own.size(),
    }
    tidy = pd.DataFrame(found).reset_index()
    names = rows.drop_duplicates("codec").set_index("codec").family
    tidy = tidy.assign(family=tidy.codec.map(names), exploits=[exploits(coders.get(c, {})) for c in tidy.codec])
    order = {c: i for i, c in enumerate(names.index)}
    tidy = tidy.sort_values(["codec", "section"], kind="stable",
                            key=lambda c: c.map(order if c.name == "codec" else list(groups).index))  # fmt: skip
    tidy = tidy[["codec", "family", "exploits", "section", "bits", "bits_loose", "reached", "curves"]]
    return tidy, _printed(tidy, list(groups)), CAPTION


def exploits(coder: Mapping[str, Any]) -> str:
    """First sentence of the codec's file, and the parameters that its row sets."""
    if not coder:
        return ""
    text = ast.get_docstring(ast.parse((Path(lamofc.__file__).parent / coder["file"]).read_text())) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    chosen = ", ".join(f"{k} {v}" for k, v in coder["parameters"].items())
    return f"{sentence} ({chosen})" if chosen else sentence


def _printed(tidy: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    lines = []
    for codec, own in tidy.groupby("codec", sort=False):
        cells = {r.section: _cell(r) for r in own.itertuples()}
        line = {"codec": codec, "family": own.family.iloc[0], "exploits": own.exploits.iloc[0]}
        lines.append(line | {section: cells.get(section, numbers.MISSING) for section in order})
    return pd.DataFrame(lines)


def _cell(row: Any) -> str:
    """ "0.53 / 0.39 (9 of 9)"."""
    return f"{numbers.plain(row.bits, 2)} / {numbers.plain(row.bits_loose, 2)} ({row.reached} of {row.curves})"
