"""The paper's own figure: its anchors alone, by category, with the level a value takes by `floor` and by `nearest`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lamofc.plotting import layout, looks, scales
from lamofc.plotting.looks import Look
from lamofc.results import sections, table

PREFIX = "dtufc-"
SHADES = ("#d55e00", "#5e2a00", "#f0a35e")  # of the learned family's colour: one per network


def draw(scores: Path, families: Mapping[str, str], section: str | None = None) -> Figure:
    """All sections, as wide as a page; or one `section`, as wide as a column."""
    rows = table.read(scores)
    rows = rows[_is_anchor(rows.codec) | ((rows.rel_mse == 0) & (rows.family != "input"))]
    rows = rows[rows.curve.isin(rows[_is_anchor(rows.codec)].curve)]
    known = _looks([c for c in rows.codec.unique() if c.startswith(PREFIX)])
    groups = sections.of(rows, families)
    groups = groups if section is None else {section: groups[section]}
    rows = rows[rows.curve.isin([c for own in groups.values() for c in own])]
    columns, height, width = (5, 0.95, layout.PAGE) if section is None else (2, 1.1, layout.COLUMN)
    figure, panels = layout.sections(groups, columns, height, width=width)
    for name, panel in panels.items():
        _panel(panel, rows[rows.curve == name], known)
        if name in layout.lowest(groups, columns):
            scales.label_bits(panel)
    scales.shared_bits(panels.values(), rows.bpfp)
    arms = [Line2D([], [], label=c, **look.line(4)) for c, look in known.items() if c in set(rows.codec)]
    band = Patch(color="#888888", alpha=0.25, lw=0, label="95 % interval (nearest)")
    layout.legend(figure, [*arms, *scales.reference_entries(), band], columns=4 if section is None else 2)
    return figure


def _is_anchor(codecs: pd.Series) -> pd.Series:
    """Anchors as fitted on the curve's own data; zero-shot rows are another figure's."""
    return codecs.str.startswith(PREFIX) & ~codecs.str.endswith("-zero-shot")


def _network(codec: str) -> str:
    return codec.removeprefix(PREFIX).removesuffix("-nearest").removesuffix("-floor")


def _looks(codecs: list[str]) -> dict[str, Look]:
    """The learned family's marker; networks differ in shade, assignment in filling: nearest full, floor hollow."""
    networks = sorted({_network(c) for c in codecs}, key=lambda n: (n != "hyperprior", n))
    marker, _ = looks.look("learned")
    found = {}
    for codec in sorted(codecs, key=lambda c: (networks.index(_network(c)), c.endswith("-floor"))):
        shade, floor = SHADES[networks.index(_network(codec)) % len(SHADES)], codec.endswith("-floor")
        found[codec] = Look(marker, shade, 0.0 if floor else 1.0, "--" if floor else "-")
    return found


def _panel(axes: Axes, rows: pd.DataFrame, known: Mapping[str, Look]) -> None:
    first = rows.iloc[0]
    own = rows[rows.codec.isin(list(known))]
    for _, codec, points in table.ladders(own):
        axes.plot(points.bpfp, points.score, **known[codec].line(3), lw=0.8, zorder=4)
        if not codec.endswith("-floor"):
            axes.fill_between(points.bpfp, points.score_low, points.score_high, color=known[codec].colour, alpha=0.13,
                              lw=0)  # fmt: skip
    scales.reference_lines(axes, first, table.lossless_floor(rows))
    scales.score_axes(axes, first, own.score)
    layout.title(axes, first)
