"""Where the bits go: payload by tensor kind, side information, framing and padding, codec by codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lamofc.plotting import layout
from lamofc.results import numbers, operating, table
from lamofc.results.bits import FRAMING, SEVERAL, SIDE
from lamofc.results.latency import INPUT

PARTS = {
    "tokens": "#0072b2", "key": "#56b4e9", "value": "#009e73", "ssm": "#cc79a7", "conv": "#7e17e6",
    "latent": "#7a0177", "embedding": "#1b5e4a", "pooled": "#bde695", SEVERAL: "#4c4000",
    SIDE: "#d55e00", FRAMING: "#f0c808",
}  # fmt: skip
HATCHES = {SIDE: "////", FRAMING: "xxxx"}  # what is no feature is hatched: told apart without colours too
SHARE = 0.95  # of the score: the point of each codec that is shown


def draw(scores: Path, bits: Path) -> Figure:
    rows = table.read(scores)
    rows = rows[rows.family != INPUT]  # their files hold no tensors
    sizes = pd.read_csv(bits, sep="\t", dtype={"point": str})
    shares = _shares(rows, sizes)
    models, codecs = list(rows.model.unique()), list(rows.codec.unique())
    columns = min(3, len(models))
    height = 0.62 + 0.115 * len(codecs) + 0.45 / -(-len(models) // columns)  # the last part is the legend's
    figure, axes = layout.panels(len(models), columns, height, sharey=True, sharex=True)
    for panel, model in zip(axes, models, strict=True):
        own = rows[rows.model == model]
        _panel(panel, shares[shares.model == model], codecs)
        count = own.curve.nunique()
        panel.set_title(f"{model}, {count} curve{'s' * (count > 1)}", loc="left", fontweight="bold")
        panel.set_xlabel("share of the file (%), beside it bits per point", fontsize=6)
        panel.xaxis.set_tick_params(labelbottom=True)
    used = [p for p in PARTS if p in set(sizes.part)]
    patches = [Patch(fc=PARTS[p], hatch=HATCHES.get(p), ec="w", lw=0, label=p) for p in used]
    mark = Line2D([], [], ls="", marker="|", color="k", ms=7, mew=1.5, label="padding (% of coded values)")
    layout.legend(figure, patches + [mark] * bool(shares.padding.notna().any()), columns=6)
    return figure


def _shares(rows: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """Per (model, codec): means over curves of the parts' percentages; geometric mean and range of bits."""
    chosen = _points(rows)
    if "padding" not in sizes:
        sizes = sizes.assign(padding=np.nan)  # bits.tsv of an older run
    keys = ["curve", "codec", "point"]
    wide = sizes.pivot(index=keys, columns="part", values="bytes").fillna(0)
    wide = 100 * wide.div(wide.sum(axis=1), axis=0)
    padding = 100 * sizes.groupby(keys).padding.first()
    found = chosen.join(wide, on=keys).join(padding, on=keys)
    parts = [p for p in PARTS if p in wide]
    groups = found.groupby(["model", "codec"], sort=False)
    return groups[[*parts, "padding"]].mean().assign(
        bits=np.exp(groups.log_bits.mean()), missed=groups.size() - groups.kept.sum()
    ).reset_index()  # fmt: skip


def _panel(axes: Axes, shares: pd.DataFrame, codecs: list[str]) -> None:
    own = shares.set_index("codec")
    for y, codec in enumerate(codecs):
        if codec not in own.index:
            axes.text(1, y, "not run", va="center", fontsize=layout.SMALL, color="#777777")
            continue
        row, left = own.loc[codec], 0.0
        for part in [p for p in PARTS if row.get(p, 0) > 0]:
            axes.barh(y, row[part], 0.8, left, fc=PARTS[part], hatch=HATCHES.get(part), ec="w", lw=0)
            left += row[part]
        if np.isfinite(row.padding):
            axes.plot(row.padding, y, marker="|", color="k", ms=5, mew=1.5, zorder=5)
        axes.text(
            101.5,
            y,
            f"{numbers.plain(row.bits, 2)}{'*' if row.missed else ''}",
            va="center",
            fontsize=layout.SMALL,
            color="#333333",
        )
    axes.text(101.5, -0.9, "bits", fontsize=layout.SMALL, va="center", color="#333333")
    axes.set_yticks(range(len(codecs)), codecs, fontsize=layout.SMALL)
    axes.set_ylim(len(codecs) - 0.4, -1.3)
    axes.set_xlim(0, 114)
    axes.set_xticks([0, 25, 50, 75, 100])


def _points(rows: pd.DataFrame) -> pd.DataFrame:
    """Per (curve, codec) the lowest point that keeps 95 % of the score, or the highest where none does."""
    kept = operating.points(rows, SHARE)
    keys = ["curve", "codec"]
    missed = ~rows.set_index(keys).index.isin(kept.set_index(keys).index)
    highest = rows.loc[rows[missed].groupby(keys).bpfp.idxmax()]
    both = pd.concat([kept.assign(kept=True), highest.assign(kept=False)])
    both = both[["curve", "model", "codec", "point", "kept"]].assign(log_bits=np.log(np.asarray(both.bpfp, float)))
    order = {c: i for i, c in enumerate(rows.codec.unique())}
    return both.sort_values("codec", key=lambda c: c.map(order), kind="stable")
