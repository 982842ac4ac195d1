"""One look for all figures: families' markers and colours, sizes, and files that are equal byte for byte."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lamofc.whole import whole_file

COLUMN, PAGE, TALL = 3.4, 7.1, 8.8  # inches: widths of a printed column and of a page, height of a page without legend
LEFT, ABOVE, BELOW, XLABEL = 0.42, 0.27, 0.17, 0.13  # inches around a panel of `sections`
GREY = "#b8b8b8"
LONGEST_LABEL = 20  # characters of a line beside a small panel
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
# A codec beside others of its family: colour and marker stay, filling and line differ.
VARIANTS = ((1.0, "-"), (0.0, "--"), (0.45, ":"), (0.2, "-."), (0.7, "--"), (0.3, "-"), (0.85, ":"), (0.1, "-."))
_AREA = {"*": 1.5, "^": 1.1, "v": 1.1, "P": 1.15, "X": 1.15, "D": 0.85, "H": 1.1}  # so that all look equally large
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


@dataclass(frozen=True)
class Look:
    """How one codec is drawn everywhere. filled: 1 full, 0 hollow, between: pale."""

    marker: str
    colour: str
    filled: float = 1.0
    dash: str = "-"

    @property
    def face(self) -> str:
        """Colour of the marker's inside, #rrggbb."""
        full = matplotlib.colors.to_rgb(self.colour)
        return matplotlib.colors.to_hex([1 - self.filled * (1 - c) for c in full])

    def line(self, size: float = 3.2, **more: object) -> dict[str, object]:
        """Keyword arguments of Axes.plot."""
        return {"marker": self.marker, "color": self.colour, "mfc": self.face, "mec": self.colour, "mew": 0.6,
                "ls": self.dash, "ms": size * _AREA.get(self.marker, 1.0)} | more  # fmt: skip


def looks(rows: object) -> dict[str, Look]:
    """{codec: its look} for the codecs of a table, in its order: marker and colour say the family."""
    codecs = rows.drop_duplicates("codec")
    seen: dict[str, int] = {}
    found = {}
    for codec, family in zip(codecs.codec, codecs.family, strict=True):
        number = seen[family] = seen.get(family, -1) + 1
        found[codec] = Look(*look(family), *VARIANTS[number % len(VARIANTS)])
    return found


def codec_entries(known: Mapping[str, Look], codecs: Iterable[str]) -> list[Line2D]:
    """Legend entries of codecs, families together."""
    order = list(dict.fromkeys(k.colour for k in known.values()))
    chosen = sorted(set(codecs), key=lambda c: (order.index(known[c].colour), list(known).index(c)))
    return [Line2D([], [], label=c, **known[c].line(4)) for c in chosen]


def sections(
    groups: Mapping[str, Sequence[str]], columns: int, height: float, title: float = 0.0
) -> tuple[Figure, dict[str, Axes]]:
    """One panel per name in `groups`, each group from a new row on under its heading; {name: panel}.

    height: of a panel, inches; less where the rows would not fit a page. title: inches kept free on top. Places are
    set in inches, without matplotlib's layout engines: all panels are equally large, and drawing takes a tenth of
    the time.
    """
    _style()
    columns = min(columns, max(len(g) for g in groups.values()))
    pitch, rows = PAGE / columns, sum(-(-len(g) // columns) for g in groups.values())
    head = 0.2 if len(groups) > 1 else 0.0
    around = rows * (ABOVE + BELOW) + len(groups) * (head + XLABEL) + title
    height = max(0.5, min(height, (TALL - around) / rows))
    figure, placed, places, top = plt.figure(), {}, {}, title
    for heading, names in groups.items():
        if head:
            figure.text(0.004, 0, heading, fontsize=8, fontweight="bold", color="#7a4a00", va="center", gid=f"{top}")
        top += head
        for number, name in enumerate(names):
            axes = placed[name] = figure.add_axes((0, 0, 1, 1), label=name)
            places[axes] = ((number % columns) * pitch + LEFT, top + (number // columns) * (ABOVE + height + BELOW)
                            + ABOVE, pitch - LEFT - 0.06, height)  # fmt: skip
        top += -(-len(names) // columns) * (ABOVE + height + BELOW) + XLABEL
    figure.places, figure.tall = places, top
    _place(figure, 0.0)
    return figure, placed


def _place(figure: Figure, below: float) -> None:
    """Give panels and headings of `sections` their places, with `below` inches for a legend."""
    tall = figure.tall + below
    figure.set_size_inches(PAGE, tall)
    for axes, (x, y, width, height) in figure.places.items():
        axes.set_position((x / PAGE, 1 - (y + height) / tall, width / PAGE, height / tall))
    for text in [t for t in figure.texts if t.get_gid()]:
        text.set_y(1 - (float(text.get_gid()) + 0.1) / tall)


def lowest(groups: Mapping[str, Sequence[str]], columns: int) -> set[str]:
    """Names whose panel is the last of its column within its group: those that carry the label of the x axis."""
    return {n for names in groups.values() for n in names[-columns:]}


def panels(
    count: int, columns: int, height: float, width: float = PAGE, **options: object
) -> tuple[Figure, list[Axes]]:
    """A grid of `count` panels; unused places of the last row stay empty."""
    _style()
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, rows * height), squeeze=False, layout="constrained", **options
    )
    for spare in axes.flat[count:]:
        spare.remove()
    return figure, list(axes.flat[:count])


def _style() -> None:
    plt.rcParams.update(matplotlib.rcParamsDefault | STYLE | {"backend": "Agg"})


def title(axes: Axes, curve: Mapping[str, object]) -> None:
    """Scenario in bold, then model and split, which together name a curve."""
    for text, shift, style in (
        (curve["scenario"], (-10, 9), {"fontweight": "bold", "fontsize": 7}),
        (f"{curve['model']}, {curve['split']}", (-2, 2.5), {"fontsize": 5.2, "color": "#555555"}),
    ):
        axes.annotate(text, (0, 1), shift, "axes fraction", "offset points", annotation_clip=False, **style)


def handles(families: Iterable[str]) -> list[Line2D]:
    """Legend entries of families, in the order of FAMILIES."""
    known = list(FAMILIES)
    ordered = sorted(set(families), key=lambda f: (known.index(f) if f in known else len(known), f))
    return [Line2D([], [], label=f, **Look(*look(f)).line(4, ls="")) for f in ordered]


def legend(figure: Figure, entries: list[Line2D], columns: int = 10) -> None:
    """Below all panels, never over them."""
    if hasattr(figure, "places"):
        rows = -(-len(entries) // min(columns, len(entries)))
        _place(figure, 0.06 + 0.125 * rows)
        figure.legend(handles=entries, loc="lower center", ncols=min(columns, len(entries)), frameon=False,
                      handlelength=2.2, columnspacing=1.2, borderpad=0, borderaxespad=0.2,
                      labelspacing=0.3)  # fmt: skip
        return
    figure.legend(handles=entries, loc="outside lower center", ncols=min(columns, len(entries)), frameon=False,
                  handlelength=2.2, columnspacing=1.2)  # fmt: skip


def reference_lines(axes: Axes, curve: Mapping[str, object], floor: float) -> None:
    """Uncompressed score, chance, and the rate of the best lossless codec (NaN: none)."""
    axes.axhline(curve["reference_score"], color="k", ls="--", lw=0.6, zorder=3)
    if np.isfinite(curve["chance"]):
        axes.axhline(curve["chance"], color="k", ls=":", lw=0.6, zorder=3)
    if np.isfinite(floor):
        axes.axvline(floor, color="k", ls="-.", lw=0.6, zorder=3)


def reference_entries() -> list[Line2D]:
    """Legend entries of `reference_lines`."""
    styles = {"uncompressed": "--", "chance": ":", "lossless floor": "-."}
    return [Line2D([], [], color="k", ls=ls, lw=0.7, label=label) for label, ls in styles.items()]


def score_axes(axes: Axes, curve: Mapping[str, object], scores: Iterable[float]) -> None:
    """Log bits against score. Better is up, also for errors; what breaks beyond 100 % leaves through the bottom."""
    axes.set_xscale("log")
    bits_axis(axes.xaxis)
    axes.grid(axis="y")
    label = textwrap.fill(axis_label(curve["metric"], curve["unit"]), LONGEST_LABEL)
    axes.set_ylabel(label, labelpad=1, fontsize=5 if "\n" in label else 6, linespacing=0.9)
    axes.tick_params(pad=1.5)
    if curve["higher_is_better"]:
        worst, best = np.nanmin([*scores, curve["chance"]]), np.nanmax([*scores, curve["reference_score"]])
    else:
        worst = min(np.max(scores), 100.0 if curve["unit"] == "%" else np.inf)
        best = np.nanmin([*scores, curve["reference_score"]])
    margin = 0.08 * (worst - best or 1.0)
    axes.set_ylim(worst + margin, best - 1.5 * margin)


def axis_label(what: str, unit: object) -> str:
    """With its unit where it has one."""
    return f"{what} ({unit})" if isinstance(unit, str) and unit else what


def shared_bits(axes: Iterable[Axes], rates: Iterable[float]) -> None:
    """The same range of log rates in all panels, so that they can be compared."""
    rates = [r for r in rates if np.isfinite(r)]
    base = 100.0 if max(rates) > 1e4 * min(rates) else 10.0  # labels of more decades run into each other
    for panel in axes:
        panel.set_xlim(min(rates) / 1.4, max(rates) * 1.4)
        panel.xaxis.set_major_locator(matplotlib.ticker.LogLocator(base=base, numticks=12))
        panel.xaxis.set_minor_locator(no_ticks())


def bits_axis(axis: object, fine: bool | None = False) -> None:
    """Log ticks as plain numbers: 0.1, 1, 10; `fine`: also 2 and 5, for ranges of few decades; None: by range."""
    low, high = axis.get_view_interval()
    if fine or (fine is None and low > 0 and high < 60 * low):
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
    figure.draw_without_rendering()  # the layout is found once and serves all three
    figure.set_layout_engine("none")
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


def scale(norm: matplotlib.colors.Normalize) -> matplotlib.cm.ScalarMappable:
    """Colours of numbers where little is good: light; made for any colour vision, and in order of lightness."""
    return matplotlib.cm.ScalarMappable(norm, "cividis_r")
