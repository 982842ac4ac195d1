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

from lamofc import plotting
from lamofc.results import latency, table

BANDWIDTHS = np.logspace(4, 10, 241)  # bit/s
NAMED = 3
FASTEST = {"split": "#009e73", "input": "#e69f00", "sender": "#888888"}


def draw(scores: Path, inputs: Path, devices: Mapping[str, float]) -> Figure:
    rows = table.read(scores)
    options = latency.options(rows, pd.read_csv(inputs, sep="\t"), devices)
    names = table.curves(rows)
    columns = 3 if len(names) < 13 else 4
    figure, axes = plotting.panels(len(names), columns, 1.9, sharex=True)
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, options[options.curve == name], rows[rows.curve == name].iloc[0])
    for panel in axes[-columns:]:
        panel.set_xlabel("bandwidth (bit/s)")
        panel.xaxis.set_tick_params(labelbottom=True)
    speeds = f"sender {devices['sender']:g} x, receiver {devices['receiver']:g} x the speed of the measuring machine"
    figure.suptitle(f"Latency of one sample at 99 % of the score; {speeds}", fontsize=7)
    plotting.legend(figure, _entries(options), columns=4)
    return figure


def _panel(axes: Axes, options: pd.DataFrame, first: pd.Series) -> None:
    splits = options[options.kind == "split"]
    times = latency.total(splits, BANDWIDTHS)
    coded = splits[splits.name != latency.RAW]
    order = list(coded.assign(mean=np.log(latency.total(coded, BANDWIDTHS)).mean(1)).sort_values("mean").name)
    for option, seconds in zip(splits.itertuples(), times, strict=True):
        if option.name == latency.RAW:
            axes.plot(BANDWIDTHS, seconds, color="k", lw=0.8)
        elif option.name in order[:NAMED]:
            marker, colour = plotting.look(option.family)
            axes.plot(BANDWIDTHS, seconds, color=colour, marker=marker, markevery=40, label=option.name, ms=3, zorder=4)
        else:
            axes.plot(BANDWIDTHS, seconds, color=plotting.GREY, lw=0.5)
    for kind, style in (("input", "--"), ("sender", ":")):
        for seconds in latency.total(options[options.kind == kind], BANDWIDTHS):
            axes.plot(BANDWIDTHS, seconds, color="k", ls=style, lw=1, zorder=5)
    axes.set(xscale="log", yscale="log", ylabel="seconds per sample")
    axes.set_xticks([1e4, 1e6, 1e8, 1e10], ["10 k", "1 M", "100 M", "10 G"])
    axes.xaxis.set_minor_locator(plotting.no_ticks())
    axes.set_xlim(BANDWIDTHS[0], BANDWIDTHS[-1])
    axes.grid()
    _strip(axes, options)
    plotting.title(axes, first)
    if order:
        axes.legend(loc="upper right", frameon=True, framealpha=0.85, edgecolor="none", borderpad=0.1, fontsize=5.5,
                    handlelength=1.5, labelspacing=0.2, borderaxespad=0.1)  # fmt: skip


def _strip(axes: Axes, options: pd.DataFrame) -> None:
    """A band along the bottom in the colour of the fastest kind of option."""
    winner = options.kind.to_numpy()[latency.total(options, BANDWIDTHS).argmin(0)]
    starts = np.flatnonzero(np.append(True, winner[1:] != winner[:-1]))
    for start, stop in zip(starts, [*starts[1:], len(winner) - 1], strict=True):
        axes.axvspan(BANDWIDTHS[start], BANDWIDTHS[stop], 0, 0.045, color=FASTEST[winner[start]], lw=0, zorder=6)


def _entries(options: pd.DataFrame) -> list[object]:
    forms = sorted(set(options[options.kind == "input"].name))
    lines = [("k", "-", "split, features uncompressed"), (plotting.GREY, "-", "split, other codecs"),
             ("k", "--", f"input sent as {', '.join(forms)}"), ("k", ":", "sender alone, nothing sent")]  # fmt: skip
    strips = {"split": "splitting", "input": "sending the input", "sender": "sender alone"}
    return [Line2D([], [], color=c, ls=ls, lw=0.9, label=name) for c, ls, name in lines] + [
        Patch(color=FASTEST[k], label=f"fastest: {name}") for k, name in strips.items()
    ]
