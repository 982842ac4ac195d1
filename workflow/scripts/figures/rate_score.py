"""Which codec keeps which task at which rate: one panel per curve, log bits per feature point against score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lamofc.plotting import layout, looks, scales
from lamofc.results import operating, sections, table

COLUMNS, HEIGHT = 5, 0.95  # of the overview, as wide as a page
PAGE_COLUMNS, PAGE_HEIGHT = 2, 1.1  # of one section, as wide as a column
BANDS, PAGE_BANDS = 2, 3  # codecs whose intervals are shown
BARE = ("reference", "input")  # families without a band


def draw(scores: Path, families: Mapping[str, str], section: str | None = None) -> Figure:
    """All sections, of each codec family one in colour; or one `section` with all codecs in colour."""
    whole = table.read(scores)
    # Of the whole table, so that a codec looks the same on all pages.
    known, ranked = looks.of(whole), operating.ranking(whole)
    groups = sections.of(whole, families)
    groups = groups if section is None else {section: groups[section]}
    rows = whole[whole.curve.isin([c for own in groups.values() for c in own])]
    columns = COLUMNS if section is None else PAGE_COLUMNS
    figure, panels = (
        layout.sections(groups, COLUMNS, HEIGHT)
        if section is None
        else layout.sections(groups, PAGE_COLUMNS, PAGE_HEIGHT, width=layout.COLUMN)
    )
    shown: set[str] = set()
    for name, panel in panels.items():
        shown |= _panel(panel, rows[rows.curve == name], known, ranked, section is not None)
        if name in layout.lowest(groups, columns):
            scales.label_bits(panel)
    scales.shared_bits(panels.values(), rows.bpfp)
    others = [Line2D([], [], color=looks.GREY, lw=0.6, label="other codecs")] * (section is None)
    band = Patch(color="#888888", alpha=0.25, lw=0, label="95 % interval")
    entries = looks.codec_entries(known, shown) + scales.reference_entries() + others + [band]
    layout.legend(figure, entries, columns=5 if section is None else 2)
    return figure


def _panel(
    axes: Axes, rows: pd.DataFrame, known: Mapping[str, looks.Look], ranked: list[str], everything: bool
) -> set[str]:
    """Draws one curve; -> the codecs that are shown in colour."""
    first = rows.iloc[0]
    ladders = {codec: points for _, codec, points in table.ladders(rows)}
    family = {codec: points.family.iloc[0] for codec, points in ladders.items()}
    order = [c for c in ranked if c in ladders]
    best = list(pd.Series({c: family[c] for c in order}, dtype=object).drop_duplicates().index)
    coloured = [*order, *(c for c in ladders if c not in order)] if everything else best
    for codec, points in ladders.items():
        if codec not in coloured:
            axes.plot(points.bpfp, points.score, color=looks.GREY, lw=0.5, zorder=1)
    for rank, codec in enumerate(coloured):
        style = known[codec].line(2.6, lw=0.8, zorder=5 + len(coloured) - rank)
        axes.plot(ladders[codec].bpfp, ladders[codec].score, **style)
    banded = [c for c in best if family[c] not in BARE]
    for codec in banded[: PAGE_BANDS if everything else BANDS]:
        own = ladders[codec]
        axes.fill_between(own.bpfp, own.score_low, own.score_high, color=known[codec].colour, alpha=0.13, lw=0,
                          zorder=2)  # fmt: skip
    scales.reference_lines(axes, first, table.lossless_floor(rows))
    scales.score_axes(axes, first, rows.score)
    layout.title(axes, first)
    return set(coloured)
