"""Curve against codec: bits per feature point needed for 99 % of the score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from lamofc import plotting
from lamofc.results import numbers, sections, table

HATCH = "////"
WIDE = 22  # codecs above which numbers are in smaller type
GAP = 0.9  # height of a heading, in cells


def draw(scores: Path, rates: Path, families: Mapping[str, str]) -> Figure:
    rows, at = table.read(scores), pd.read_csv(rates, sep="\t")
    at = at[at.target == at.target.max()]
    groups = sections.of(rows, families)
    codecs = _order(at, rows)
    places = _places(groups)
    tall = max(places.values()) + 1
    figure, (axes,) = plotting.panels(1, 1, 1.5 + 0.165 * tall)
    figure.get_layout_engine().set(
        h_pad=0.15
    )  # the engine does not count the room that turned labels keep from the axis
    _cells(axes, at, places, codecs)
    _label(axes, rows, groups, places, codecs)
    axes.set_xlim(0, len(codecs))
    axes.set_ylim(tall, 0)
    entries = [Patch(fill=False, hatch=HATCH, ec="#999999", lw=0, label="99 % not reached"),
               Patch(fill=False, ec="#d55e00", label="fewest bits, or not told apart from it (paired bootstrap)"),
               Patch(fc="#f2f2f2", lw=0, label="codec not run on this curve")]  # fmt: skip
    plotting.legend(figure, plotting.handles(at.family) + entries, columns=5)
    return figure


def _places(groups: Mapping[str, list[str]]) -> dict[str, float]:
    """{curve: its row}, room left for headings."""
    found, y = {}, 0.0
    for names in groups.values():
        y += GAP
        found |= {name: y + i for i, name in enumerate(names)}
        y += len(names)
    return found


def _order(at: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """By mean log compression; a curve on which the target is not reached counts as uncompressed."""
    bits = at.pivot(index="codec", columns="curve", values="bpfp")
    native = (rows.bpfp * rows.ratio).groupby(rows.curve).first()
    share = (bits / native[bits.columns]).replace(np.inf, 1.0)
    return list(np.log(share).mean(axis=1).sort_values(kind="stable").index)


def _cells(axes: Axes, at: pd.DataFrame, places: Mapping[str, float], codecs: list[str]) -> None:
    found = at.bpfp[np.isfinite(at.bpfp)]
    low, high = (found.min(), found.max()) if len(found) else (0.1, 32)
    norm = LogNorm(low, max(high, 1.01 * low))
    cells = at.set_index(["curve", "codec"])
    size = 5 if len(codecs) <= WIDE else 3.6
    for curve, y in places.items():
        for x, codec in enumerate(codecs):
            if (curve, codec) in cells.index:
                _cell(axes, x, y, cells.loc[(curve, codec)], norm, size)
            else:
                axes.add_patch(Rectangle((x, y), 1, 1, fc="#f2f2f2", ec="w", lw=0.5))
    bar = axes.figure.colorbar(plotting.scale(norm), ax=axes, fraction=0.03, pad=0.01, aspect=40,
                               label="bits per feature point (log)")  # fmt: skip
    plotting.bits_axis(bar.ax.yaxis, fine=True)


def _cell(axes: Axes, x: int, y: float, cell: pd.Series, norm: LogNorm, size: float) -> None:
    if cell.status == "not reached":
        axes.add_patch(Rectangle((x, y), 1, 1, fill=False, hatch=HATCH, ec="#999999", lw=0))
        return
    axes.add_patch(Rectangle((x, y), 1, 1, fc=plotting.scale(norm).to_rgba(cell.bpfp), ec="w", lw=0.5))
    text = ("≤" if cell.status == "at most" else "") + numbers.plain(cell.bpfp, 2)
    best = isinstance(cell.tied, str)
    axes.text(x + 0.5, y + 0.54, text, ha="center", va="center", fontsize=size, fontweight="bold" if best else None,
              color="w" if norm(cell.bpfp) > 0.55 else "k")  # fmt: skip
    if best:
        axes.add_patch(Rectangle((x + 0.04, y + 0.07), 0.92, 0.86, fill=False, ec="#d55e00", lw=1.0))


def _label(axes: Axes, rows: pd.DataFrame, groups: Mapping[str, list[str]], places: Mapping[str, float],
           codecs: list[str]) -> None:  # fmt: skip
    first = rows.drop_duplicates("curve").set_index("curve")
    names = [f"{first.scenario[c]}, {first.model[c]}, {first.split[c]}" for c in places]
    axes.set_yticks([y + 0.5 for y in places.values()], names, fontsize=5.5)
    axes.set_xticks(np.arange(len(codecs)) + 0.5, codecs, rotation=90, fontsize=6)
    axes.xaxis.tick_top()
    axes.set_title("Bits per feature point for 99 % of the score", fontweight="bold", loc="left")
    axes.tick_params(axis="x", length=0, pad=6)
    axes.tick_params(axis="y", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    looks = plotting.looks(rows)
    for x, codec in enumerate(codecs):
        axes.plot(x + 0.5, 1.0, clip_on=False, transform=axes.get_xaxis_transform(),
                  **looks[codec].line(3.5, ls=""))  # fmt: skip
    for heading, names in groups.items():
        axes.annotate(heading, (0, places[names[0]] - 0.25), (-3, 0), "data", "offset points", ha="right", va="center",
                      fontsize=6.5, fontweight="bold", color="#7a4a00", annotation_clip=False)  # fmt: skip
