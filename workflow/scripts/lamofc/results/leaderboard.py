"""The leaderboard page: all points and targets of a run in one HTML file that needs no network."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lamofc.plotting import looks
from lamofc.jsonio import write_text
from lamofc.results import sections, table

PLACE = "/*DATA*/"
CURVE = ("curve", "category", "scenario", "stands_for", "model", "split", "metric", "unit", "higher_is_better",
         "chance", "reference_score", "n")  # fmt: skip
POINT = ("curve", "codec", "point", "bpfp", "ratio", "score", "score_low", "score_high", "flips", "damage", "rel_mse",
         "cosine", "encode_mbps", "decode_mbps", "asset_bytes")  # fmt: skip


def page(template: Path, scores: Path, rates: Path, bits: Path, config: Path, inputs: Path, out: Path) -> None:
    """Fill the template with the run's tables and the lines of `config` (the codecs file) and `inputs` that made them."""
    rows, targets, parts = table.read(scores), pd.read_csv(rates, sep="\t"), pd.read_csv(bits, sep="\t")
    kinds = parts[~parts.part.isin(("side information", "framing"))].groupby("curve").part.unique()
    drawn = looks.of(rows)
    data = {
        "curves": [c | {"kinds": sorted(kinds[c["curve"]])} for c in _records(rows.drop_duplicates("curve"), CURVE)],
        "codecs": [
            {"codec": c, "family": f} | _look(drawn[c]) | _source(c, (config, inputs), out.parent)
            for c, f in rows.drop_duplicates("codec")[["codec", "family"]].itertuples(index=False)
        ],
        "categories": sections.NAMES,
        "points": _records(rows, POINT),
        "targets": _records(targets, list(targets.columns)),
    }
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    write_text(out, template.read_text().replace(PLACE, text))


def _look(look: looks.Look) -> dict[str, str]:
    """As SVG has it."""
    dashes = {"-": "none", "--": "6 3", ":": "2 2", "-.": "6 2 2 2"}
    return {"marker": look.marker, "colour": look.colour, "fill": look.face, "dash": dashes[look.dash]}


def _source(codec: str, configs: Sequence[Path], folder: Path) -> dict[str, Any]:
    """The file, line and text of the configuration that a codec is from; line 0 where it is in none of them."""
    for config in configs:
        found = config_lines(config, [codec]).get(codec)
        if found:
            return {"line": found[0], "text": found[1], "config": os.path.relpath(config, folder),
                    "configName": str(config)}  # fmt: skip
    return {"line": 0, "text": "", "config": "", "configName": ""}


def config_lines(config: Path, codecs: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Line number and text of each codec's row in the codecs file."""
    lines = config.read_text().splitlines()
    found = {}
    for codec in codecs:
        start = next((i for i, line in enumerate(lines) if line.startswith(f"{codec}:")), None)
        if start is not None:
            stop = start + 1
            while stop < len(lines) and re.match(r"\s+\S", lines[stop]):
                stop += 1
            found[codec] = (start + 1, "\n".join(lines[start:stop]))
    return found


def _records(rows: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    return [_clean(r) for r in rows[list(columns)].to_dict("records")]


def _clean(record: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has neither NaN nor infinity; six significant digits are enough for a page."""
    return {
        k: (float(f"{v:.6g}") if math.isfinite(v) else None) if isinstance(v, float) else v for k, v in record.items()
    }
