"""Which codec keeps which task at which rate: one panel per curve, log bits per feature point against score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lamofc import ladder, plotting
from lamofc.results import sections, table

REACH = (0.95, 0.9, 0.99)  # shares of the uncompressed score by which codecs are ranked, the first first
COLUMNS, HEIGHT = 5, 0.95  # of the overview
PAGE_COLUMNS, PAGE_HEIGHT = 3, 1.6  # of one section
BANDS, PAGE_BANDS = 2, 3  # codecs whose intervals are shown


def draw(scores: Path, families: Mapping[str, str], section: str | None = None) -> Figure:
    """All sections, of each codec family one in colour; or one `section`, larger, with all codecs in colour."""
    rows = table.read(scores)
    groups = sections.of(rows, families)
    groups = groups if section is None else {section: groups[section]}
    rows = rows[rows.curve.isin([c for own in groups.values() for c in own])]
    looks = plotting.looks(table.read(scores))  # of the whole table, so that a codec looks the same on all pages
    columns, height = (COLUMNS, HEIGHT) if section is None else (PAGE_COLUMNS, PAGE_HEIGHT)
    figure, panels = plotting.sections(groups, columns, height)
    shown: set[str] = set()
    for name, panel in panels.items():
        shown |= _panel(panel, rows[rows.curve == name], looks, section is not None)
        if name in plotting.lowest(groups, columns):
            panel.set_xlabel("bits per feature point (log)", labelpad=1, fontsize=5.5)
    plotting.shared_bits(panels.values(), rows.bpfp)
    others = [Line2D([], [], color=plotting.GREY, lw=0.6, label="other codecs")] * (section is None)
    band = Patch(color="#888888", alpha=0.25, lw=0, label="95 % interval")
    entries = plotting.codec_entries(looks, shown) + plotting.reference_entries() + others + [band]
    plotting.legend(figure, entries, columns=5)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, plotting.Look], everything: bool) -> set[str]:
    """Draws one curve; -> the codecs that are shown in colour."""
    first = rows.iloc[0]
    ladders = {codec: points for _, codec, points in table.ladders(rows)}
    order = sorted(ladders, key=lambda codec: _needs(ladders[codec]))
    best = list(pd.Series({c: ladders[c].family.iloc[0] for c in order}).drop_duplicates().index)
    coloured = order if everything else best
    for codec, points in ladders.items():
        if codec not in coloured:
            axes.plot(points.bpfp, points.score, color=plotting.GREY, lw=0.5, zorder=1)
    for rank, codec in enumerate(coloured):
        style = looks[codec].line(2.6, lw=0.8, zorder=5 + len(coloured) - rank)
        axes.plot(ladders[codec].bpfp, ladders[codec].score, **style)
    banded = [c for c in best if ladders[c].family.iloc[0] not in ("reference", "input")]
    for codec in banded[: PAGE_BANDS if everything else BANDS]:
        _band(axes, ladders[codec], looks[codec].colour)
    plotting.reference_lines(axes, first, table.lossless_floor(rows))
    plotting.score_axes(axes, first, rows.score)
    plotting.title(axes, first)
    return set(coloured)


def _band(axes: Axes, points: pd.DataFrame, colour: str) -> None:
    axes.fill_between(points.bpfp, points.score_low, points.score_high, color=colour, alpha=0.13, lw=0, zorder=2)


def _needs(points: pd.DataFrame) -> tuple[float, ...]:
    first = points.iloc[0]
    rates = [
        float(ladder.rate_at(points.bpfp.to_numpy(), points.quality.to_numpy(), aim)[0])
        for aim in (table.target(first, first.reference_quality, share) for share in REACH)
    ]
    return (*rates, -np.max(points.quality))
