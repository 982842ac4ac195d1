"""What bits cost: speed of encoder and decoder, and bits with the decoder's assets shared out over samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lamofc import plotting
from lamofc.results import operating, table

SAMPLES = np.array([1, 100, 1_000_000])
NAMED = 4  # codecs of fewest bits that are named, beside those that none beats in both bits and speed


def draw(scores: Path) -> Figure:
    rows = table.read(scores)
    codecs = summary(operating.points(rows))
    figure, axes = plotting.panels(3, 3, 2.4)
    for panel, column, name in zip(axes, ("encode_mbps", "decode_mbps"), ("encoder", "decoder"), strict=False):
        _scatter(panel, codecs, column)
        panel.set_ylabel(f"{name} (MB/s of features)")
        panel.set_xlabel("bits / uncompressed bits")
    _amortised(axes[2], codecs)
    figure.suptitle("At 99 % of the score, mean over curves that keep it; hollow: not kept on all curves", fontsize=7)
    plotting.legend(figure, plotting.handles(codecs.family))
    return figure


def summary(points: pd.DataFrame) -> pd.DataFrame:
    """Geometric means over the curves on which a codec keeps 99 % of the score."""
    points = points.assign(share=1 / points.ratio, native=points.ratio * points.bytes)
    for samples in SAMPLES:
        points[f"at {samples}"] = points.share + points.asset_bytes / (samples * points.native / points.n)
    columns = ["share", "encode_mbps", "decode_mbps", *(f"at {s}" for s in SAMPLES)]
    logs = np.log(points[["codec", "family", *columns]].set_index(["codec", "family"]))
    found = np.exp(logs.groupby(level=["codec", "family"], sort=False).mean())
    return found.assign(curves=points.groupby("codec", sort=False).size().to_numpy()).reset_index()


def _scatter(axes: Axes, codecs: pd.DataFrame, column: str) -> None:
    most = codecs.curves.max()
    for row in codecs.itertuples():
        marker, colour = plotting.look(row.family)
        everywhere = row.curves == most
        fill = colour if everywhere else "w"
        axes.plot(row.share, getattr(row, column), marker=marker, ls="", ms=4, color=colour, mfc=fill)
    axes.set(xscale="log", yscale="log")
    axes.margins(0.12)
    plotting.bits_axis(axes.xaxis, fine=True)
    plotting.bits_axis(axes.yaxis)
    axes.grid()
    plotting.name_points(axes, _named(codecs, column), column)


def _named(codecs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Codecs that no other beats in both speed and bits, and those of fewest bits."""
    ordered = codecs.sort_values(["share", column], ascending=[True, False])
    best = ordered[column].cummax()
    return ordered[((ordered[column] >= best) & ~best.duplicated()) | (np.arange(len(ordered)) < NAMED)]


def _amortised(axes: Axes, codecs: pd.DataFrame) -> None:
    columns = [f"at {s}" for s in SAMPLES]
    for row in codecs.to_dict("records"):
        marker, colour = plotting.look(row["family"])
        axes.plot(SAMPLES, [row[c] for c in columns], marker=marker, color=colour, lw=0.7)
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(SAMPLES, ["1", "100", "10$^6$"])
    axes.xaxis.set_minor_locator(plotting.no_ticks())
    plotting.bits_axis(axes.yaxis, fine=True)
    axes.grid(axis="y")
    axes.set_xlabel("samples sharing the decoder's assets")
    axes.set_ylabel("(bits + assets) / uncompressed bits")
