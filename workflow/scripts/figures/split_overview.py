"""Does splitting pay? One line per curve: which way is the fastest at which bandwidth, and with which codec."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lamofc.plotting import layout, scales
from lamofc.results import latency, sections, table

BANDWIDTHS = np.logspace(4, 10, 601)  # bit/s
COLOURS = {"split": "#007556", "input": "#e69f00", "sender": "#999999"}
HATCHES = {"split": "", "input": "///", "sender": "..."}  # the same without colours
WIDE = {True: 13, False: 17}  # steps of BANDWIDTHS that a letter takes: on a page, in a column
NAMES = {"split": "splitting", "input": "sending the input", "sender": "sender alone"}


def draw(
    scores: Path, inputs: Path, devices: Mapping[str, float], families: Mapping[str, str], section: str | None = None
) -> Figure:
    """All sections, as wide as a page, its sides beside each other; or one `section`, as wide as a column."""
    rows = table.read(scores)
    options = latency.options(rows, pd.read_csv(inputs, sep="\t"), devices)
    groups = sections.of(rows, families)
    groups = groups if section is None else {section: groups[section]}
    count = sum(len(g) for g in groups.values()) + len(groups)
    size = (2, 0.9 + 0.15 * count) if section is None else (1, 0.75 + 0.15 * count, layout.COLUMN)
    figure, axes = layout.panels(2, *size, sharey=True)
    _side(axes[0], rows, groups, options, "if the input may be sent")
    _side(axes[1], rows, groups, options[options.kind != "input"], "if the input must not leave the sender")
    if section is not None:
        axes[0].set_xlabel("")  # the lower panel has it
    speeds = latency.speeds(devices)
    said = f"Fastest way to the answer at 99 % of the score; {speeds}" if section is None else speeds.capitalize()
    figure.suptitle(said, fontsize=7 if section is None else layout.SMALL)
    layout.legend(figure, [Patch(fc=COLOURS[k], hatch=HATCHES[k], ec="w", label=NAMES[k]) for k in NAMES])
    return figure


def _side(axes: Axes, rows: pd.DataFrame, groups: Mapping[str, list[str]], options: pd.DataFrame, title: str) -> None:
    ticks, y = {}, 0
    first = rows.drop_duplicates("curve").set_index("curve")
    for heading, names in groups.items():
        ticks[y] = heading
        for curve in names:
            y += 1
            ticks[y] = f"{first.scenario[curve]}, {first.model[curve]}, {first.split[curve]}"
            own = options[options.curve == curve]
            for start, stop, kind in latency.fastest(own, BANDWIDTHS):
                axes.barh(y, stop - start, 0.75, start, fc=COLOURS[kind], hatch=HATCHES[kind], ec="w", lw=0.3)
            _name(axes, y, own, WIDE[axes.figure.get_figwidth() > layout.COLUMN])
        y += 1
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=layout.SMALL)
    for place, label in zip(ticks, axes.get_yticklabels(), strict=False):
        if ticks[place] in groups:
            label.set(fontweight="bold", color=layout.HEADING, fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlim(BANDWIDTHS[0], BANDWIDTHS[-1])
    axes.set_xticks([1e4, 1e6, 1e8, 1e10], ["10 k", "1 M", "100 M", "10 G"])
    axes.get_xticklabels()[0].set_ha("left")
    axes.get_xticklabels()[-1].set_ha("right")
    axes.xaxis.set_minor_locator(scales.no_ticks())
    axes.set_xlabel("bandwidth (bit/s, log)")
    axes.set_title(title, loc="right" if axes.figure.get_figwidth() == layout.COLUMN else "left")


def _name(axes: Axes, y: int, own: pd.DataFrame, wide: int) -> None:
    """The codec that splits fastest where splitting is the fastest, written into its bar where that is wide enough."""
    times = latency.total(own, BANDWIDTHS)
    winner = times.argmin(0)
    for start, stop in _runs(winner):
        option = own.iloc[winner[start]]
        if option.kind != "split":
            continue
        axes.plot([BANDWIDTHS[start]] * 2, [y - 0.375, y + 0.375], color="w", lw=0.6)
        if stop - start > wide * len(option["name"]):
            axes.text(BANDWIDTHS[(start + stop) // 2], y + 0.04, option["name"], fontsize=layout.SMALL, color="w",
                      ha="center", va="center", fontweight="bold")  # fmt: skip


def _runs(winner: np.ndarray) -> list[tuple[int, int]]:
    starts = np.flatnonzero(np.append(True, winner[1:] != winner[:-1]))
    return list(zip(starts, [*starts[1:], len(winner) - 1], strict=True))
