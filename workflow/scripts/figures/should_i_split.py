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
from matplotlib.ticker import LogLocator

from lamofc import plotting
from lamofc.results import latency, sections, table

BANDWIDTHS = np.logspace(4, 10, 241)  # bit/s
NAMED = 3
FASTEST = {"split": "#009e73", "input": "#e69f00", "sender": "#888888"}
COLUMNS = 5


def draw(scores: Path, inputs: Path, devices: Mapping[str, float], families: Mapping[str, str]) -> Figure:
    rows = table.read(scores)
    options = latency.options(rows, pd.read_csv(inputs, sep="\t"), devices)
    looks, groups = plotting.looks(rows), sections.of(rows, families)
    figure, panels = plotting.sections(groups, COLUMNS, 0.95, title=0.22)
    shown: set[str] = set()
    for name, panel in panels.items():
        shown |= _panel(panel, options[options.curve == name], looks)
        plotting.title(panel, rows[rows.curve == name].iloc[0])
        if name in plotting.lowest(groups, COLUMNS):
            panel.set_xlabel("bandwidth (bit/s, log)", labelpad=1, fontsize=6)
    speeds = f"sender {devices['sender']:g} x, receiver {devices['receiver']:g} x the speed of the measuring machine"
    figure.suptitle(f"Latency of one sample at 99 % of the score; {speeds}", fontsize=7, y=0.995)
    entries = plotting.codec_entries(looks, shown) + _entries(options)
    plotting.legend(figure, entries, columns=4)
    return figure


def _panel(axes: Axes, options: pd.DataFrame, looks: Mapping[str, plotting.Look]) -> set[str]:
    """Draws one curve; -> the codecs that are shown in colour: of lowest mean log latency over bandwidths."""
    splits = options[options.kind == "split"]
    coded = splits[splits.name != latency.RAW]
    order = list(coded.assign(mean=np.log(latency.total(coded, BANDWIDTHS)).mean(1)).sort_values("mean").name)
    for option, seconds in zip(splits.itertuples(), latency.total(splits, BANDWIDTHS), strict=True):
        if option.name == latency.RAW:
            axes.plot(BANDWIDTHS, seconds, color="k", lw=0.7)
        elif option.name in order[:NAMED]:
            axes.plot(BANDWIDTHS, seconds, markevery=60, zorder=4, **looks[option.name].line(2.6, lw=0.8))
        else:
            axes.plot(BANDWIDTHS, seconds, color=plotting.GREY, lw=0.5)
    for kind, style in (("input", "--"), ("sender", ":")):
        for seconds in latency.total(options[options.kind == kind], BANDWIDTHS):
            axes.plot(BANDWIDTHS, seconds, color="k", ls=style, lw=0.8, zorder=5)
    axes.set(xscale="log", yscale="log")
    axes.set_ylabel("s per sample", fontsize=6, labelpad=1)
    axes.tick_params(pad=1.5)
    axes.set_xticks([1e4, 1e6, 1e8, 1e10], ["10 k", "1 M", "", "10 G"], fontsize=5.5)
    axes.get_xticklabels()[-1].set_ha("right")
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
    axes.tick_params(axis="y", labelsize=5.5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(plotting.no_ticks())
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


def _entries(options: pd.DataFrame) -> list[object]:
    lines = [("k", "-", "split, features uncompressed"), (plotting.GREY, "-", "split, other codecs"),
             ("k", "--", "input sent, compressed"), ("k", ":", "sender alone, nothing sent")]  # fmt: skip
    strips = {"split": "splitting", "input": "sending the input", "sender": "sender alone"}
    return [Line2D([], [], color=c, ls=ls, lw=0.9, label=name) for c, ls, name in lines] + [
        Patch(color=FASTEST[k], label=f"fastest: {name}") for k, name in strips.items()
    ]
