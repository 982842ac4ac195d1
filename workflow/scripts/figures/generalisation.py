"""What a codec loses when its assets come from another data set: zero-shot against matched fit, curve by curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lamofc import plotting
from lamofc.results import table

SUFFIX = "-zero-shot"


def draw(scores: Path) -> Figure:
    rows = table.read(scores)
    rows = rows[rows.damage > 0]
    pairs = [c.removesuffix(SUFFIX) for c in rows.codec.unique() if c.endswith(SUFFIX)]
    names = [n for n in table.curves(rows) if any(rows[rows.curve == n].codec.str.endswith(SUFFIX))]
    if not names:
        return _nothing()
    figure, axes = plotting.panels(len(names), min(4, len(names)), 1.35)
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, rows[rows.curve == name], pairs)
    styles = [Line2D([], [], color="#333333", ls="-", label="fitted on this data set"),
              Line2D([], [], color="#333333", ls=":", label="on another (zero-shot)")]  # fmt: skip
    families = [rows[rows.codec == p].family.iloc[0] for p in pairs if p in set(rows.codec)]
    lines = [Line2D([], [], color=plotting.look(f)[1], marker=plotting.look(f)[0], ls="", label=p)
             for p, f in zip(pairs, families, strict=True)]  # fmt: skip
    plotting.legend(figure, lines + styles)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, pairs: list[str]) -> None:
    for base in pairs:
        for codec, line in ((base, "-"), (base + SUFFIX, ":")):
            own = rows[rows.codec == codec].sort_values("bpfp")
            if len(own):
                marker, colour = plotting.look(own.family.iloc[0])
                filled = colour if codec == base else "white"
                axes.plot(own.bpfp, own.damage, line, marker=marker, color=colour, mfc=filled, ms=3)
    axes.set_xscale("log")
    plotting.bits_axis(axes.xaxis)
    axes.set_yscale("log")
    floor = max(1e-5, float(rows.damage.min()))
    axes.set_ylim(floor / 2, max(floor * 10, 2 * float(np.max(rows.damage))))
    axes.set_xlabel("bits per feature point")
    axes.set_ylabel("damage")
    plotting.title(axes, rows.iloc[0])


def _nothing() -> Figure:
    figure, _ = plotting.panels(1, 1, 1, plotting.COLUMN)
    figure.axes[0].remove()
    figure.text(0.5, 0.5, "no two curves of this run share model and split", ha="center", va="center")
    return figure
