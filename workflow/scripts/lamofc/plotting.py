"""One look for all figures: families' markers and colours, sizes, and files that are equal byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lamofc.whole import whole_file

COLUMN, PAGE = 3.4, 7.1  # inches: widths of a printed column and of a page
GREY = "#b8b8b8"
# Colours of Okabe & Ito (2008), told apart with any colour vision; the marker says the same in black and white.
FAMILIES: dict[str, tuple[str, str]] = {
    "reference": ("s", "#000000"),
    "numeric": ("o", "#0072b2"),
    "learned": ("^", "#d55e00"),
    "kv": ("D", "#009e73"),
    "image": ("v", "#cc79a7"),
    "scientific": ("P", "#e69f00"),
    "transform": ("X", "#56b4e9"),
    "vector": ("p", "#8c6d00"),
    "ours": ("*", "#7a0177"),
    "input": ("H", "#4d4d4d"),
}
_SPARE = [("<", "#5b5b5b"), (">", "#8a3b12"), ("h", "#1b5e4a"), ("d", "#44337a")]
STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.minor.width": 0.3,
    "grid.linewidth": 0.3,
    "grid.color": "#dddddd",
    "hatch.linewidth": 0.4,
    "svg.hashsalt": "lamofc",
    "pdf.fonttype": 42,
    "figure.dpi": 100,
    "savefig.dpi": 200,
}


def look(family: str) -> tuple[str, str]:
    """Marker and colour of a codec family; a family without its own gets a spare one, the same every time."""
    return FAMILIES.get(family) or _SPARE[sum(family.encode()) % len(_SPARE)]


def panels(
    count: int, columns: int, height: float, width: float = PAGE, **options: object
) -> tuple[Figure, list[Axes]]:
    """A grid of `count` panels; unused places of the last row stay empty."""
    plt.rcParams.update(matplotlib.rcParamsDefault | STYLE | {"backend": "Agg"})
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, rows * height), squeeze=False, layout="constrained", **options
    )
    for spare in axes.flat[count:]:
        spare.remove()
    return figure, list(axes.flat[:count])


def title(axes: Axes, curve: Mapping[str, object], prefix: str = "") -> None:
    """Scenario in bold, then model and split, which together name a curve."""
    axes.set_title(f"{prefix}{curve['scenario']}", fontweight="bold", loc="left", pad=10)
    axes.text(0, 1.02, f"{curve['model']}, {curve['split']}", transform=axes.transAxes, fontsize=6, color="#555555")


def handles(families: Iterable[str]) -> list[Line2D]:
    """Legend entries of families, in the order of FAMILIES."""
    known = list(FAMILIES)
    ordered = sorted(set(families), key=lambda f: (known.index(f) if f in known else len(known), f))
    return [Line2D([], [], marker=look(f)[0], color=look(f)[1], label=f, markersize=4) for f in ordered]


def legend(figure: Figure, entries: list[Line2D], columns: int = 10) -> None:
    """Below all panels, never over them."""
    figure.legend(handles=entries, loc="outside lower center", ncols=min(columns, len(entries)), frameon=False)


def reference_lines(axes: Axes, curve: Mapping[str, object], floor: float) -> None:
    """Uncompressed score, chance, and the rate of the best lossless codec (NaN: none)."""
    axes.axhline(curve["reference_score"], color="k", ls="--", lw=0.7, zorder=3)
    if np.isfinite(curve["chance"]):
        axes.axhline(curve["chance"], color="k", ls=":", lw=0.7, zorder=3)
    if np.isfinite(floor):
        axes.axvline(floor, color="k", ls="-.", lw=0.7, zorder=3)


def reference_entries() -> list[Line2D]:
    """Legend entries of `reference_lines`."""
    styles = {"uncompressed": "--", "chance": ":", "lossless floor": "-."}
    return [Line2D([], [], color="k", ls=ls, lw=0.7, label=label) for label, ls in styles.items()]


def score_axes(axes: Axes, curve: Mapping[str, object], scores: Iterable[float]) -> None:
    """Log bits against score. Better is up, also for errors; what breaks beyond 100 % leaves through the bottom."""
    axes.set_xscale("log")
    bits_axis(axes.xaxis)
    axes.grid(axis="y")
    axes.set_ylabel(f"{curve['metric']} ({curve['unit']})")
    if curve["higher_is_better"]:
        worst = np.nanmin([*scores, curve["chance"]])
    else:
        worst = min(np.max(scores), 100.0 if curve["unit"] == "%" else np.inf)
    margin = 0.08 * (worst - curve["reference_score"] or 1.0)
    axes.set_ylim(worst + margin, curve["reference_score"] - 1.5 * margin)


def bits_axis(axis: object, fine: bool = False) -> None:
    """Log ticks written as plain numbers: 0.1, 1, 10; `fine` also at 2 and 5, for ranges of few decades."""
    if fine:
        axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def spread(positions: np.ndarray, gap: float) -> np.ndarray:
    """Positions moved apart, order kept, so that labels at them are at least `gap` from each other."""
    order = np.argsort(positions, kind="stable")
    placed = np.asarray(positions, float)[order]
    for _ in range(200):
        close = np.flatnonzero(np.diff(placed) < gap * 0.999)
        if not len(close):
            break
        for i in close:
            push = (gap - (placed[i + 1] - placed[i])) / 2
            placed[i], placed[i + 1] = placed[i] - push, placed[i + 1] + push
    result = np.empty_like(placed)
    result[order] = placed
    return result


def save(figure: Figure, svg: Path, pdf: Path, png: Path) -> None:
    """Write the three files, whole or not at all, without dates or version names."""
    empty = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    for path in (Path(svg), Path(pdf), Path(png)):
        kind = path.suffix[1:]
        with whole_file(path) as partial:
            figure.savefig(partial, format=kind, metadata=empty.get(kind, {"Software": None}))
    plt.close(figure)


def no_ticks() -> matplotlib.ticker.Locator:
    return matplotlib.ticker.NullLocator()


def name_points(axes: Axes, points: object, column: str) -> None:
    """Write the codec's name beside each point (share, column), in its family's colour, to the side that has room."""
    middle = np.mean(np.log(axes.get_xlim()))
    wanted = axes.transData.transform(np.column_stack([points.share, points[column]]))[:, 1]
    shifts = (spread(wanted, 8) - wanted) * 72 / axes.figure.dpi
    for row, shift in zip(points.to_dict("records"), shifts, strict=True):
        right = np.log(row["share"]) < middle
        axes.annotate(row["codec"], (row["share"], row[column]), (5 if right else -5, shift), fontsize=5.5,
                      color=look(row["family"])[1], textcoords="offset points", ha="left" if right else "right",
                      va="center", arrowprops={"arrowstyle": "-", "lw": 0.3, "color": "#999999"})  # fmt: skip
