"""Where the bits go: payload by tensor kind, side information and framing, codec by codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lamofc import plotting
from lamofc.results import operating, table
from lamofc.results.bits import FRAMING, SIDE
from lamofc.results.latency import INPUT

PARTS = {
    "tokens": "#0072b2", "key": "#56b4e9", "value": "#009e73", "ssm": "#cc79a7", "conv": "#8c6d00",
    "latent": "#7a0177", "embedding": "#1b5e4a", "pooled": "#5b5b5b", SIDE: "#d55e00", FRAMING: "#f0c808",
}  # fmt: skip
SHARE = 0.95  # of the score: the point of each codec that is shown


def draw(scores: Path, bits: Path) -> Figure:
    rows = table.read(scores)
    rows = rows[rows.family != INPUT]  # their files hold no tensors
    sizes = pd.read_csv(bits, sep="\t", dtype={"point": str})
    names, codecs = table.curves(rows), list(rows.codec.unique())
    columns = 4
    figure, axes = plotting.panels(len(names), columns, max(1.1, 0.6 + 0.1 * len(codecs)), sharey=True, sharex=True)
    for panel, name in zip(axes, names, strict=True):
        _panel(panel, rows[rows.curve == name], sizes[sizes.curve == name], codecs)
    for panel in axes[-columns:]:
        panel.set_xlabel("share of the file (%)")
        panel.xaxis.set_tick_params(labelbottom=True)
    used = [p for p in PARTS if p in set(sizes.part)]
    plotting.legend(figure, [Patch(color=PARTS[p], label=p) for p in used])
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, sizes: pd.DataFrame, codecs: list[str]) -> None:
    chosen = _points(rows)
    wide = sizes.pivot(index=["codec", "point"], columns="part", values="bytes").fillna(0)
    for y, codec in [(y, c) for y, c in enumerate(codecs) if c in chosen.index]:
        shares = wide.loc[(codec, chosen.loc[codec, "point"])]
        left = 0.0
        for part in [p for p in PARTS if p in shares.index and shares[p]]:
            width = 100 * shares[part] / shares.sum()
            axes.barh(y, width, 0.8, left, color=PARTS[part], lw=0)
            left += width
        axes.text(101, y, f"{chosen.loc[codec, 'bpfp']:.2g}{'' if chosen.loc[codec, 'kept'] else '*'}", va="center",
                  fontsize=4.5, color="#555555")  # fmt: skip
    axes.set_yticks(range(len(codecs)), codecs, fontsize=5)
    axes.set_ylim(len(codecs) - 0.4, -0.6)
    axes.set_xlim(0, 116)
    axes.set_xticks([0, 25, 50, 75, 100])
    plotting.title(axes, rows.iloc[0])


def _points(rows: pd.DataFrame) -> pd.DataFrame:
    """Per codec the lowest point that keeps 95 % of the score, or its highest where none does."""
    kept = operating.points(rows, SHARE)
    rest = rows[~rows.codec.isin(kept.codec if len(kept) else [])]
    highest = rest.loc[rest.groupby("codec").bpfp.idxmax()] if len(rest) else rest
    both = pd.concat([kept.assign(kept=True), highest.assign(kept=False)])
    return both.set_index("codec").assign(bpfp=lambda b: np.asarray(b.bpfp, float))
