"""Images made from coded features beside those of the uncompressed run: what a score does not show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lamofc import plotting, png
from lamofc.jsonio import read_json
from lamofc.results import table

RATES = (4.0, 1.0, 0.25)  # bits per feature point that points are chosen near
SHOWN = 4  # samples of a strip


def draw(scores: Path, pictures: Sequence[Path]) -> Figure:
    """scores: the table; pictures: score files, of which those that hold pictures are shown."""
    rows = table.read(scores)
    files = {(f["rows"][0]["curve"], f["rows"][0]["codec"]): f for f in map(read_json, pictures) if "pictures" in f}
    curves = [c for c in table.curves(rows) if any(curve == c for curve, _ in files)]
    codecs = {c: [n for n in rows[rows.curve == c].codec.unique() if (c, n) in files] for c in curves}
    lines = max(map(len, codecs.values()))
    width = plotting.PAGE * (1 + len(curves)) / 3
    figure, axes = plotting.panels(lines * 3 * len(curves), 3 * len(curves), 0.75, width=width)
    grid = np.array(axes).reshape(lines, len(curves), 3)
    for column, curve in enumerate(curves):
        for line in range(lines):
            own = grid[line, column]
            codec = codecs[curve][line] if line < len(codecs[curve]) else None
            used = _codec(own, rows[(rows.curve == curve) & (rows.codec == codec)], files[curve, codec]) if codec else 0
            for panel in own[used:]:
                panel.remove()
        head = rows[rows.curve == curve].iloc[0]
        place = {"transform": grid[0, column, 0].transAxes, "fontsize": 7, "fontweight": "bold"}
        grid[0, column, 0].text(0, 1.65, f"{head.scenario}, {head.split}", **place)
    return figure


def _codec(axes: Sequence[Axes], rows: pd.DataFrame, file: dict) -> int:
    """The points nearest to RATES, each once, from most bits to fewest; -> how many panels they took."""
    points = chosen(rows)
    for panel, row in zip(axes, points, strict=False):
        sent, plain = file["pictures"][row["point"]], file["reference_pictures"]
        panel.imshow(strip(plain[:SHOWN], sent[:SHOWN]), interpolation="nearest")
        panel.axis("off")
        text = f"{row['bpfp']:.3g} bits, {row['score']:.0f} {row['unit']}"
        panel.set_title(text if row is not points[0] else f"{row['codec']}\n{text}", fontsize=6, pad=2, loc="left")
    return len(points)


def chosen(rows: pd.DataFrame) -> list[dict]:
    nearest = [int(np.abs(np.log(rows.bpfp.to_numpy() / rate)).argmin()) for rate in RATES]
    return [rows.iloc[i].to_dict() for i in dict.fromkeys(nearest)]


def strip(above: Sequence[np.ndarray], below: Sequence[np.ndarray]) -> np.ndarray:
    """PNG files of two rows of pictures -> one picture, a white line between."""
    tops, bottoms = (np.concatenate([png.read(p) for p in row], 1) for row in (above, below))
    return np.concatenate([tops, np.full((2, *tops.shape[1:]), 255, np.uint8), bottoms], 0)
