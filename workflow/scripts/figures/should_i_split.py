"""Should I split? Time from input to answer against bandwidth, for each codec, the compressed input, and no sending."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lamofc.plotting import layout, looks, scales
from lamofc.results import latency, sections, table

BANDWIDTHS = np.logspace(4, 10, 241)  # bit/s
NAMED = 3
FASTEST = {"split": "#007556", "input": "#e69f00", "sender": "#999999"}
COLUMNS = 5


def draw(
    scores: Path, inputs: Path, devices: Mapping[str, float], families: Mapping[str, str], section: str | None = None
) -> Figure:
    """All sections, as wide as a page; or one `section`, as wide as a column."""
    rows = table.read(scores)
    options = latency.options(rows, pd.read_csv(inputs, sep="\t"), devices)
    known, groups = looks.of(rows), sections.of(rows, families)
    groups = groups if section is None else {section: groups[section]}
    columns, height, width = (COLUMNS, 0.95, layout.PAGE) if section is None else (2, 1.1, layout.COLUMN)
    figure, panels = layout.sections(groups, columns, height, title=0.22, width=width)
    shown: set[str] = set()
    for name, panel in panels.items():
        shown |= _panel(panel, options[options.curve == name], known)
        layout.title(panel, rows[rows.curve == name].iloc[0])
        if name in layout.lowest(groups, columns):
            panel.set_xlabel("bandwidth (bit/s, log)", labelpad=1, fontsize=layout.SMALL)
    layout.legend(figure, looks.codec_entries(known, shown) + _entries(), columns=4 if section is None else 2)
    speeds = latency.speeds(devices)
    said = f"Latency of one sample at 99 % of the score; {speeds}" if section is None else speeds.capitalize()
    size = 7 if section is None else layout.SMALL
    figure.text(0.5, 1 - 0.09 / figure.get_figheight(), said, fontsize=size, ha="center", va="center")
    return figure


def _panel(axes: Axes, options: pd.DataFrame, known: Mapping[str, looks.Look]) -> set[str]:
    """Draws one curve; -> the codecs that are shown in colour: of lowest mean log latency over bandwidths."""
    splits = options[options.kind == "split"]
    coded = splits[splits.name != latency.RAW]
    order = list(coded.assign(mean=np.log(latency.total(coded, BANDWIDTHS)).mean(1)).sort_values("mean").name)
    for option, seconds in zip(splits.itertuples(), latency.total(splits, BANDWIDTHS), strict=True):
        if option.name == latency.RAW:
            axes.plot(BANDWIDTHS, seconds, color="k", lw=0.7)
        elif option.name in order[:NAMED]:
            axes.plot(BANDWIDTHS, seconds, markevery=60, zorder=4, **known[option.name].line(2.6, lw=0.8))
        else:
            axes.plot(BANDWIDTHS, seconds, color=looks.GREY, lw=0.5)
    for kind, style in (("input", "--"), ("sender", ":")):
        for seconds in latency.total(options[options.kind == kind], BANDWIDTHS):
            axes.plot(BANDWIDTHS, seconds, color="k", ls=style, lw=0.8, zorder=5)
    axes.set(xscale="log", yscale="log")
    axes.set_ylabel("s per sample", fontsize=6, labelpad=1)
    axes.tick_params(pad=1.5)
    wide = axes.figure.get_figwidth() == layout.COLUMN  # of two panels beside each other, not of five
    axes.set_xticks([1e4, 1e6, 1e8, 1e10], ["10 k", "1 M", "100 M" if wide else "", "10 G"], fontsize=layout.SMALL)
    axes.get_xticklabels()[-1].set_ha("right")
    axes.xaxis.set_minor_locator(scales.no_ticks())
    scales.decades(axes.yaxis, 5)
    axes.tick_params(axis="y", labelsize=layout.SMALL)
    axes.set_xlim(BANDWIDTHS[0], BANDWIDTHS[-1])
    low, high = axes.dataLim.intervaly
    axes.set_ylim(low / (high / low) ** 0.14, high * 1.3)  # room for the strip
    axes.grid()
    _strip(axes, options)
    return set(order[:NAMED])


def _strip(axes: Axes, options: pd.DataFrame) -> None:
    """A band along the bottom in the colour of the fastest kind of option."""
    for start, stop, kind in latency.fastest(options, BANDWIDTHS):
        axes.axvspan(start, stop, 0, 0.07, color=FASTEST[kind], lw=0, zorder=6)


def _entries() -> list[object]:
    lines = [("k", "-", "split, features uncompressed"), (looks.GREY, "-", "split, other codecs"),
             ("k", "--", "input sent, compressed"), ("k", ":", "sender alone, nothing sent")]  # fmt: skip
    strips = {"split": "splitting", "input": "sending the input", "sender": "sender alone"}
    return [Line2D([], [], color=c, ls=ls, lw=0.9, label=name) for c, ls, name in lines] + [
        Patch(color=FASTEST[k], label=f"fastest: {name}") for k, name in strips.items()
    ]
