"""Images made from coded features below those of the uncompressed run: what a score does not show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lamofc import png
from lamofc.jsonio import read_json
from lamofc.plotting import layout
from lamofc.results import numbers, operating, table

RATES = (4.0, 1.0, 0.25)  # bits per feature point that points are chosen near
SHOWN = 6  # samples of a strip
NAMES, HEAD, GAP = 1.3, 0.28, 0.14  # inches: left of the strips, above a block of strips, above a strip


def draw(scores: Path, pictures: Sequence[Path]) -> Figure:
    """scores: the table; pictures: score files, of which those that hold pictures are shown, one codec per family."""
    rows = table.read(scores)
    files = {(f["rows"][0]["curve"], f["rows"][0]["codec"]): f for f in map(read_json, pictures) if "pictures" in f}
    ranked = operating.ranking(rows)
    blocks = {}
    for curve in [c for c in table.curves(rows) if any(curve == c for curve, _ in files)]:
        own = rows[(rows.curve == curve) & (rows.rel_mse > 0)]
        coded = [c for c in ranked if (curve, c) in files and (own.codec == c).any()]
        family = own.drop_duplicates("codec").set_index("codec").family
        blocks[curve] = list(family[coded].drop_duplicates().index)
    return _sheet(rows, files, blocks)


def _sheet(rows: pd.DataFrame, files: dict[tuple[str, str], dict], blocks: dict[str, list[str]]) -> Figure:
    layout.style()
    wide = (layout.PAGE - NAMES) / len(RATES)
    row = GAP + (wide - 0.08) / SHOWN
    tall = sum(HEAD + row * (1 + len(codecs)) for codecs in blocks.values()) + 0.04
    figure, top = layout.plt.figure(figsize=(layout.PAGE, tall)), 0.0

    def show(column: int, pictures: Sequence[bytes], text: str) -> None:
        axes = figure.add_axes(((NAMES + column * wide) / layout.PAGE, 1 - (top + row) / tall,
                                (wide - 0.08) / layout.PAGE, (row - GAP) / tall))  # fmt: skip
        _strip(axes, pictures, text)

    def name(text: str, at: float, **how: object) -> None:
        figure.text(0.06 / layout.PAGE, 1 - at / tall, text, va="center", **how)

    for curve, codecs in blocks.items():
        head = rows[rows.curve == curve].iloc[0]
        name(f"{head.scenario}, {head.model}, {head.split}", top + 0.16, fontsize=8, fontweight="bold",
             color=layout.HEADING)  # fmt: skip
        top += HEAD
        name("uncompressed run", top + row / 2 + 0.04)
        show(0, next(f for (c, _), f in files.items() if c == curve)["reference_pictures"],
             f"{head.reference_score:.0f} {head.unit}")  # fmt: skip
        top += row
        for codec in codecs:
            name(codec, top + row / 2 + 0.04)
            for column, point in enumerate(chosen(rows[(rows.curve == curve) & (rows.codec == codec)])):
                text = f"{numbers.plain(point['bpfp'], 2)} bits per feature point, {point['score']:.0f} {point['unit']}"
                show(column, files[curve, codec]["pictures"][point["point"]], text)
            top += row
    return figure


def _strip(axes: Axes, pictures: Sequence[bytes], text: str) -> None:
    """PNG files of one point, side by side."""
    axes.imshow(np.concatenate([png.read(p) for p in pictures[:SHOWN]], 1), interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.set_title(text, fontsize=layout.SMALL, pad=1.5, loc="left")
    for spine in axes.spines.values():
        spine.set(visible=True, color="#999999", lw=0.3)


def chosen(rows: pd.DataFrame) -> list[dict]:
    """The points nearest to RATES, each once, from most bits to fewest."""
    nearest = [int(np.abs(np.log(rows.bpfp.to_numpy() / rate)).argmin()) for rate in RATES]
    return [rows.iloc[i].to_dict() for i in dict.fromkeys(nearest)]
