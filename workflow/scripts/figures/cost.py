"""What bits cost: speed of encoder and decoder, and bits with the decoder's assets shared out over samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lamofc import plotting
from lamofc.results import operating, table

SAMPLES = np.array([1, 100, 1_000_000])


def draw(scores: Path) -> Figure:
    rows = table.read(scores)
    codecs, looks = summary(operating.points(rows)), plotting.looks(rows)
    columns = 4 if len(codecs) < 20 else 5
    figure, axes = plotting.panels(3, 3, 2.4 + 0.125 * -(-len(codecs) // columns))
    for panel, column, name in zip(axes, ("encode_mbps", "decode_mbps"), ("encoder", "decoder"), strict=False):
        _scatter(panel, codecs, column, looks)
        panel.set_ylabel(f"{name} (MB/s of features)")
    _amortised(axes[2], codecs, looks)
    figure.suptitle(
        "At 99 % of the score, geometric mean over the curves that a codec keeps it on, their number in the legend",
        fontsize=7,
    )
    count = dict(zip(codecs.codec, codecs.curves, strict=True))
    ran = rows.groupby("codec").curve.nunique()
    entries = plotting.codec_entries(looks, codecs.codec)
    for entry in entries:
        codec = entry.get_label()
        entry.set_label(f"{codec} ({count[codec]} of {ran[codec]})")
    plotting.legend(figure, entries, columns)
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


def _scatter(axes: Axes, codecs: pd.DataFrame, column: str, looks: Mapping[str, plotting.Look]) -> None:
    for row in codecs.itertuples():
        axes.plot(row.share, getattr(row, column), **looks[row.codec].line(4.5, ls=""))
    axes.set(xscale="log", yscale="log", xlabel="bits / uncompressed bits (log)")
    axes.margins(0.08)
    plotting.bits_axis(axes.xaxis, fine=None)
    plotting.bits_axis(axes.yaxis, fine=None)
    axes.grid()


def _amortised(axes: Axes, codecs: pd.DataFrame, looks: Mapping[str, plotting.Look]) -> None:
    for row in codecs.to_dict("records"):
        style = looks[row["codec"]].line(3.5, lw=0.7)
        axes.plot(SAMPLES, [row[f"at {s}"] for s in SAMPLES], **style)
    axes.axhline(1, color="#999999", lw=0.6, zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="samples that share the assets")
    axes.set_xticks(SAMPLES, ["1", "100", "1 000 000"])
    axes.xaxis.set_minor_locator(plotting.no_ticks())
    axes.margins(x=0.08)
    plotting.bits_axis(axes.yaxis, fine=None)
    axes.grid(axis="y")
    axes.set_ylabel("(bits + assets) / raw bits")
