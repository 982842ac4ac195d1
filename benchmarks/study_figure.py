"""The picture of `study.py`: bits per entry of every tensor as one part after another is used."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from lamofc.plotting import files, layout

COLOURS = {"tokens": "#7a0177", "key": "#0072b2", "value": "#56b4e9", "ssm": "#009e73", "conv": "#8fd3b6",
           "latent": "#d55e00", "embedding": "#e6a100", "pooled": "#8a3b12"}  # fmt: skip
STACKED = 3  # parts that are used one after another; the others are alternatives after these
Rows = Sequence[tuple[str, Sequence[float]]]  # (kind of a tensor, bits after each part; NaN where it does not apply)


def save(found: Mapping[str, Rows], parts: Sequence[str], path: Path) -> None:
    """found: curve -> rows. Panels share both axes; writes `path` with the endings svg, pdf and png."""
    figure, panels = layout.sections({"": list(found)}, 3, 1.2)
    top = max(np.nanmax(bits) for rows in found.values() for _, bits in rows)
    for number, (curve, rows) in enumerate(found.items()):
        axes = panels[curve]
        for kind, bits in rows:
            look = {"color": COLOURS[kind], "lw": 0.7, "alpha": 0.8, "ms": 1.8}
            axes.plot(range(STACKED), bits[:STACKED], marker="o", **look)
            for part in range(STACKED, len(parts)):  # one of these comes after the last part of all
                axes.plot([STACKED - 1, part], [bits[STACKED - 1], bits[part]], ls=":", marker="o", **look)
        axes.set_title(curve.replace(".", "\n", 1), loc="left", fontsize=layout.SMALL + 0.5)
        axes.set(xlim=(-0.3, len(parts) - 0.7), ylim=(0, 1.05 * top))
        last = number + 3 >= len(found)
        axes.set_xticks(range(len(parts)), parts if last else [], fontsize=layout.SMALL, rotation=60)
        axes.set_ylabel("bits per entry" if number % 3 == 0 else "")
        axes.grid(axis="y")
    figure.tall += 0.3  # room for the turned labels
    kinds = {kind for rows in found.values() for kind, _ in rows}
    layout.legend(figure, [Line2D([], [], color=c, label=k, marker="o") for k, c in COLOURS.items() if k in kinds])
    files.save(figure, *(path.with_suffix(f".{end}") for end in ("svg", "pdf", "png")))
