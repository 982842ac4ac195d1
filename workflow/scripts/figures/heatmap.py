"""Codec against scenario: bits per feature point needed for 99 % of the score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from lamofc import plotting
from lamofc.results import table

HATCH = "////"


def draw(scores: Path, rates: Path) -> Figure:
    rows, at = table.read(scores), pd.read_csv(rates, sep="\t")
    at = at[at.target == at.target.max()]
    curves = rows.drop_duplicates("curve").set_index("curve")
    bits = at.pivot(index="codec", columns="curve", values="bpfp")[list(curves.index)]
    bits = bits.loc[_order(bits, rows)]
    figure, (axes,) = plotting.panels(1, 1, 1.3 + 0.15 * len(bits))
    _cells(axes, bits, at.set_index(["codec", "curve"]))
    axes.set_xticks(range(len(curves)), [f"{c.scenario}\n{c.model}\n{c.split}" for c in curves.itertuples()])
    axes.tick_params(axis="x", rotation=0 if len(curves) < 10 else 90, labelsize=5.5, length=0)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(bits)), bits.index)
    _mark_families(axes, bits, at)
    return figure


def _order(bits: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """By mean log compression; a curve on which the target is not reached counts as uncompressed."""
    native = (rows.bpfp * rows.ratio).groupby(rows.curve).first()
    share = (bits / native[bits.columns]).replace(np.inf, 1.0)
    return list(np.log(share).mean(axis=1).sort_values(kind="stable").index)


def _cells(axes: Axes, bits: pd.DataFrame, cells: pd.DataFrame) -> None:
    values = np.where(np.isfinite(bits), bits, np.nan)
    low, high = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (0.1, 32)
    norm = LogNorm(low, max(high, 1.01 * low))
    picture = axes.pcolormesh(np.ma.masked_invalid(values), cmap="cividis_r", norm=norm, edgecolors="w", linewidth=0.5)
    axes.set_xlim(0, bits.shape[1])
    axes.set_ylim(bits.shape[0], 0)
    for i, codec in enumerate(bits.index):
        for j, curve in enumerate(bits.columns):
            if (codec, curve) in cells.index:
                _cell(axes, j, i, cells.loc[(codec, curve)], norm)
            else:
                axes.text(j + 0.5, i + 0.5, "·", ha="center", va="center", color="#777777")
    bar = axes.figure.colorbar(picture, ax=axes, fraction=0.03, pad=0.01, label="bits per feature point")
    plotting.bits_axis(bar.ax.yaxis, fine=True)


def _cell(axes: Axes, x: int, y: int, cell: pd.Series, norm: LogNorm) -> None:
    if cell.status == "not reached":
        axes.add_patch(Rectangle((x, y), 1, 1, fill=False, hatch=HATCH, ec="#999999", lw=0))
        return
    text = ("≤" if cell.status == "at most" else "") + f"{cell.bpfp:.{1 if cell.bpfp >= 1 else 2}f}"
    best = isinstance(cell.tied, str)
    axes.text(x + 0.5, y + 0.52, text, ha="center", va="center", fontsize=5.5, fontweight="bold" if best else None,
              color="w" if norm(cell.bpfp) > 0.55 else "k")  # fmt: skip
    if best:
        axes.add_patch(Rectangle((x + 0.04, y + 0.06), 0.92, 0.88, fill=False, ec="#d55e00", lw=1.0))


def _mark_families(axes: Axes, bits: pd.DataFrame, at: pd.DataFrame) -> None:
    families = at.drop_duplicates("codec").set_index("codec").family
    axes.set_xticks(np.arange(bits.shape[1]) + 0.5, [t.get_text() for t in axes.get_xticklabels()])
    axes.set_yticks(np.arange(len(bits)) + 0.5, bits.index)
    axes.tick_params(axis="y", length=0, pad=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for y, codec in enumerate(bits.index):
        marker, colour = plotting.look(families[codec])
        axes.plot(-0.012, y + 0.5, marker=marker, color=colour, ms=3.5, clip_on=False,
                  transform=axes.get_yaxis_transform())  # fmt: skip
    entries = [Patch(fill=False, hatch=HATCH, ec="#999999", lw=0, label="not reached"),
               Patch(fill=False, ec="#d55e00", label="fewest bits, or not told apart from it")]  # fmt: skip
    plotting.legend(axes.figure, plotting.handles(families) + entries, columns=6)
