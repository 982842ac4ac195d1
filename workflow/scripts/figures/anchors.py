"""The paper's own figure: its anchors alone, by category, with the level a value takes by `floor` and by `nearest`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lamofc import plotting
from lamofc.results import table

PREFIX = "dtufc-"
# Arms differ by network (colour) and by assignment (filled: nearest; hollow: floor).
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7")
MARKERS = ("^", "o", "D", "v")


def draw(scores: Path) -> Figure:
    rows = table.read(scores)
    rows = rows[rows.codec.str.startswith(PREFIX) | (rows.rel_mse == 0)]
    names = table.curves(rows)
    networks = sorted({_network(c) for c in rows.codec if c.startswith(PREFIX)})
    figure, axes = plotting.panels(len(names), 4, 1.6)
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, rows[rows.curve == name], networks)
    for panel in axes[-min(4, len(names)) :]:
        panel.set_xlabel("bits per feature point (log)")
    plotting.legend(figure, _entries(rows, networks), columns=4)
    return figure


def _network(codec: str) -> str:
    return codec.removeprefix(PREFIX).removesuffix("-nearest").removesuffix("-floor")


def _look(codec: str, networks: list[str]) -> dict[str, object]:
    number = networks.index(_network(codec)) % len(COLOURS)
    hollow = codec.endswith("-floor")
    return {"color": COLOURS[number], "marker": MARKERS[number], "mfc": "w" if hollow else COLOURS[number],
            "ls": "--" if hollow else "-", "ms": 3.5, "mew": 0.7}  # fmt: skip


def _panel(axes: Axes, rows: pd.DataFrame, networks: list[str]) -> None:
    first = rows.iloc[0]
    for _, codec, points in table.ladders(rows[rows.codec.str.startswith(PREFIX)]):
        look = _look(codec, networks)
        axes.plot(points.bpfp, points.score, **look, zorder=4)
        axes.fill_between(points.bpfp, points.score_low, points.score_high, color=look["color"], alpha=0.12, lw=0)
    plotting.reference_lines(axes, first, table.lossless_floor(rows))
    plotting.score_axes(axes, first, rows.score)
    plotting.title(axes, first, f"{first.category}: ")


def _entries(rows: pd.DataFrame, networks: list[str]) -> list[Line2D]:
    arms = [c for c in rows.codec.unique() if c.startswith(PREFIX)]
    return [Line2D([], [], label=c, **_look(c, networks)) for c in arms] + plotting.reference_entries()
