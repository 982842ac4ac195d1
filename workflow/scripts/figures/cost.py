"""What bits cost: speed of encoder and decoder, and bits with the decoder's assets shared out over samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lamofc.plotting import layout, looks, scales
from lamofc.results import operating, table

SAMPLES = np.array([1, 100, 1_000_000])


def draw(scores: Path) -> Figure:
    rows = table.read(scores)
    codecs, known = summary(operating.points(rows)), looks.of(rows)
    figure, axes = layout.mosaic("ED;AA", layout.COLUMN, 3.4 + 0.115 * -(-len(codecs) // 2))
    for place, column, name in (("E", "encode_mbps", "encoder"), ("D", "decode_mbps", "decoder")):
        _scatter(axes[place], codecs, column, known)
        axes[place].set_ylabel(f"{name} (MB/s, log)")
    _amortised(axes["A"], codecs, known)
    figure.suptitle("Geometric means at 99 % of the score; brackets: on how many curves", fontsize=6)
    count = dict(zip(codecs.codec, codecs.curves, strict=True))
    ran = rows.groupby("codec").curve.nunique()
    entries = looks.codec_entries(known, codecs.codec)
    for entry in entries:
        codec = entry.get_label()
        entry.set_label(f"{codec} ({count[codec]}/{ran[codec]})")
    layout.legend(figure, entries, columns=2)
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


def _scatter(axes: Axes, codecs: pd.DataFrame, column: str, known: Mapping[str, looks.Look]) -> None:
    for row in codecs.itertuples():
        axes.plot(row.share, getattr(row, column), **known[row.codec].line(4.5, ls=""))
    axes.set(xscale="log", yscale="log", xlabel="share of raw bits (log)")
    axes.margins(0.08)
    for axis in (axes.xaxis, axes.yaxis):
        scales.decades(axis, 8)
    axes.grid()


def _amortised(axes: Axes, codecs: pd.DataFrame, known: Mapping[str, looks.Look]) -> None:
    for row in codecs.to_dict("records"):
        style = known[row["codec"]].line(3.5, lw=0.7)
        axes.plot(SAMPLES, [row[f"at {s}"] for s in SAMPLES], **style)
    axes.axhline(1, color="#999999", lw=0.6, zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="samples that share the assets (log)")
    axes.set_xticks(SAMPLES, ["1", "100", "1 000 000"])
    axes.xaxis.set_minor_locator(scales.no_ticks())
    axes.margins(x=0.08)
    scales.decades(axes.yaxis, 8)
    axes.grid(axis="y")
    axes.set_ylabel("(bits + assets) / raw bits (log)")
