"""Figures as SVG, PDF and PNG that are equal byte for byte when what they show is equal."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lamofc.whole import whole_file


def save(figure: Figure, svg: Path, pdf: Path, png: Path) -> None:
    """Write the three files, whole or not at all, without dates or version names."""
    figure.draw_without_rendering()  # the layout is found once and serves all three
    figure.set_layout_engine("none")
    empty = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    for path in (Path(svg), Path(pdf), Path(png)):
        kind = path.suffix[1:]
        with whole_file(path) as partial:
            figure.savefig(partial, format=kind, metadata=empty.get(kind, {"Software": None}))
    plt.close(figure)
