"""Which codec keeps which task at which rate: one panel per curve, log bits per feature point against score."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lamofc import ladder, plotting
from lamofc.results import table

REACH = (0.95, 0.9, 0.99)  # shares of the uncompressed score by which codecs are ranked, the first first
NAMED = 4  # codecs named in each panel, with their intervals


def draw(scores: Path) -> Figure:
    rows = table.read(scores)
    names = table.curves(rows)
    columns = 3 if len(names) < 13 else 4
    figure, axes = plotting.panels(len(names), columns, 1.9)
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, rows[rows.curve == name])
    for panel in axes[-columns:]:
        panel.set_xlabel("bits per feature point (log)")
    marks = [
        *plotting.reference_entries(),
        Line2D([], [], color=plotting.GREY, lw=0.6, label="other codecs"),
        Patch(color="#888888", alpha=0.25, lw=0, label="95 % interval"),
    ]
    plotting.legend(figure, plotting.handles(rows.family) + marks, columns=8)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    first = rows.iloc[0]
    ladders = {codec: points for _, codec, points in table.ladders(rows)}
    best = _best_of_families(ladders)
    for codec, points in ladders.items():
        if codec not in best:
            axes.plot(points.bpfp, points.score, color=plotting.GREY, lw=0.6, zorder=1)
    named = [c for c in best if ladders[c].family.iloc[0] != "reference"][:NAMED]
    for rank, codec in enumerate(best):
        _highlight(axes, codec, ladders[codec], codec in named, zorder=4 + len(best) - rank)
    plotting.reference_lines(axes, first, table.lossless_floor(rows))
    plotting.score_axes(axes, first, rows.score)
    plotting.title(axes, first)
    if named:
        axes.legend(loc="lower right", frameon=True, framealpha=0.85, edgecolor="none", borderpad=0.1, handlelength=1.5,
                    labelspacing=0.2, fontsize=5.5, borderaxespad=0.1)  # fmt: skip


def _highlight(axes: Axes, codec: str, points: pd.DataFrame, named: bool, zorder: int) -> None:
    marker, colour = plotting.look(points.family.iloc[0])
    style = {"label": codec, "lw": 1.0} if named else {"lw": 0.6}
    axes.plot(points.bpfp, points.score, color=colour, marker=marker, zorder=zorder, mec="w", mew=0.3, **style)
    if named:
        axes.fill_between(points.bpfp, points.score_low, points.score_high, color=colour, alpha=0.12, lw=0, zorder=2)


def _best_of_families(ladders: dict[str, pd.DataFrame]) -> list[str]:
    """The codec of each family that needs the fewest bits, the best family first."""
    order = sorted(ladders, key=lambda codec: _needs(ladders[codec]))
    families = pd.Series({c: ladders[c].family.iloc[0] for c in order})
    return list(families.drop_duplicates().index)


def _needs(points: pd.DataFrame) -> tuple[float, ...]:
    first = points.iloc[0]
    rates = [
        float(ladder.rate_at(points.bpfp.to_numpy(), points.quality.to_numpy(), aim)[0])
        for aim in (table.target(first, first.reference_quality, share) for share in REACH)
    ]
    return (*rates, -points.quality.max())
