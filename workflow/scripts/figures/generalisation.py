"""What a codec loses when its assets come from another data set: zero-shot against matched fit, curve by curve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lamofc import tasks
from lamofc.plotting import layout, looks, scales
from lamofc.results import sections, table

SUFFIX = "-zero-shot"
COLUMNS = 5
LOWEST = 1e-5  # damage below which a reader needs no difference


def draw(scores: Path, families: Mapping[str, str]) -> Figure:
    rows = table.read(scores)
    known = looks.of(rows)
    pairs = [c.removesuffix(SUFFIX) for c in rows.codec.unique() if c.endswith(SUFFIX)]
    rows = rows[(rows.damage > 0) & rows.codec.isin([*pairs, *(p + SUFFIX for p in pairs)])]
    rows = rows[rows.curve.isin(rows[rows.codec.str.endswith(SUFFIX)].curve)]
    if rows.empty:
        return _nothing()
    groups = sections.of(rows, families)
    figure, panels = layout.sections(groups, COLUMNS, 0.95)
    for name, panel in panels.items():
        _panel(panel, rows[rows.curve == name], known)
        if name in layout.lowest(groups, COLUMNS):
            scales.label_bits(panel)
    scales.shared_bits(panels.values(), rows.bpfp)
    layout.legend(figure, looks.codec_entries(known, rows.codec.unique()), columns=4)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, known: Mapping[str, looks.Look]) -> None:
    for _, codec, own in table.ladders(rows):
        axes.plot(own.bpfp, own.damage, **known[codec].line(2.8, lw=0.8))
    axes.set(xscale="log", yscale="log")
    scales.bits_axis(axes.xaxis)
    floor = max(LOWEST, float(rows.damage.min()))
    axes.set_ylim(floor / 2, max(floor * 10, 2 * float(np.max(rows.damage))))
    scales.decades(axes.yaxis, 5)
    axes.tick_params(pad=1.5, labelsize=layout.SMALL)
    axes.grid(axis="y")
    damage = getattr(tasks.load(rows.task.iloc[0]), "damage_name", "damage to outputs")
    axes.set_ylabel(damage, labelpad=1, fontsize=layout.SMALL)
    layout.title(axes, rows.iloc[0])


def _nothing() -> Figure:
    figure, _ = layout.panels(1, 1, 1, layout.COLUMN)
    figure.axes[0].remove()
    figure.text(0.5, 0.5, "no two curves of this run share model and split", ha="center", va="center")
    return figure
