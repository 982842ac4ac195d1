"""Places in inches of print: panels, their sections and the legend, on a page or in one of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLUMN, PAGE, TALL = 3.4, 7.1, 8.3  # inches: widths of a column and of a page, height that leaves room for a legend
SMALL, HEADING = 5.5, "#7a4a00"  # points: no text is smaller, as figures are printed at their own width
LEFT, ABOVE, BELOW, XLABEL, HEAD = 0.42, 0.28, 0.17, 0.13, 0.2  # inches around a panel of `sections`
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
    "xtick.minor.size": 1.2,
    "grid.linewidth": 0.3,
    "grid.color": "#dddddd",
    "hatch.linewidth": 0.4,
    "svg.hashsalt": "lamofc",
    "pdf.fonttype": 42,
    "figure.dpi": 100,
    "savefig.dpi": 200,
}


@dataclass(frozen=True)
class _Segment:
    """Panels of one section beside each other: row, first column, their number; whether the section starts there."""

    heading: str
    row: int
    column: int
    count: int
    first: bool


def sections(
    groups: Mapping[str, Sequence[str]], columns: int, height: float, title: float = 0.0, width: float = PAGE
) -> tuple[Figure, dict[str, Axes]]:
    """One panel per name in `groups`, groups one after the other, each under a ruled heading; {name: panel}.

    height: of a panel, inches; less where the rows would not fit a page. title: inches kept free on top. Places are
    set in inches, without matplotlib's layout engines: all panels are equally large, and drawing takes a tenth of
    the time.
    """
    names = [n for own in groups.values() for n in own]
    columns = min(columns, len(names))
    pitch, rows = width / columns, -(-len(names) // columns)
    head = HEAD if len(groups) > 1 else 0.0
    height = max(0.5, min(height, (TALL - title - XLABEL) / rows - head - ABOVE - BELOW))
    row = head + ABOVE + height + BELOW
    boxes = {}
    for number, name in enumerate(names):
        top = title + (number // columns) * row + head + ABOVE
        boxes[name] = ((number % columns) * pitch + LEFT, top, pitch - LEFT - 0.08, height)
    figure, placed = inches(width, title + rows * row + XLABEL, boxes)
    if head:
        for segment in _segments(groups, columns):
            top = title + segment.row * row + 0.09
            figure.headings += [(artist, top) for artist in _heading(figure, segment, pitch, width)]
    _place(figure, 0.0)
    return figure, placed


def inches(
    width: float, tall: float, boxes: Mapping[str, tuple[float, float, float, float]]
) -> tuple[Figure, dict[str, Axes]]:
    """Panels at (left, top, width, height) from the upper left corner; a legend later adds its height below."""
    style()
    figure = plt.figure(figsize=(width, tall))
    placed = {name: figure.add_axes((0, 0, 1, 1), label=name) for name in boxes}
    figure.places, figure.tall, figure.headings = {placed[n]: box for n, box in boxes.items()}, tall, []
    _place(figure, 0.0)
    return figure, placed


def _segments(groups: Mapping[str, Sequence[str]], columns: int) -> Iterator[_Segment]:
    start = 0
    for heading, names in groups.items():
        at = start
        while at < start + len(names):
            count = min(columns - at % columns, start + len(names) - at)
            yield _Segment(heading, at // columns, at % columns, count, at == start)
            at += count
        start += len(names)


def _heading(figure: Figure, segment: _Segment, pitch: float, width: float) -> list[object]:
    """Name of a section over a line along its panels of this row; pale where it goes on from the row above."""
    left, right = segment.column * pitch + 0.05, (segment.column + segment.count) * pitch - 0.08
    line = Line2D([left / width, right / width], [0, 0], color=HEADING, lw=0.6, transform=figure.transFigure)
    figure.add_artist(line)
    weight = {"fontsize": 8, "fontweight": "bold"} if segment.first else {"fontsize": 6}
    name = segment.heading if segment.first else f"{segment.heading}, continued"
    text = figure.text(left / width, 0, name, color=HEADING, va="center", backgroundcolor="w", **weight)
    text.get_bbox_patch().set(boxstyle="square,pad=0.1", lw=0)
    return [line, text]


def _place(figure: Figure, below: float) -> None:
    """Give panels and headings their places, with `below` inches for a legend."""
    width, tall = figure.get_figwidth(), figure.tall + below
    figure.set_size_inches(width, tall)
    for axes, (x, y, wide, height) in figure.places.items():
        axes.set_position((x / width, 1 - (y + height) / tall, wide / width, height / tall))
    for artist, top in figure.headings:
        artist.set_ydata([1 - top / tall] * 2) if isinstance(artist, Line2D) else artist.set_y(1 - top / tall)


def lowest(groups: Mapping[str, Sequence[str]], columns: int) -> set[str]:
    """Names whose panel is the last of its column: those that carry the label of the x axis."""
    return set([n for names in groups.values() for n in names][-columns:])


def panels(
    count: int, columns: int, height: float, width: float = PAGE, **options: object
) -> tuple[Figure, list[Axes]]:
    """A grid of `count` panels; unused places of the last row stay empty."""
    style()
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, rows * height), squeeze=False, layout="constrained", **options
    )
    for spare in axes.flat[count:]:
        spare.remove()
    return figure, list(axes.flat[:count])


def mosaic(pattern: str, width: float, height: float) -> tuple[Figure, dict[str, Axes]]:
    """Panels by the letters of a pattern, as plt.subplot_mosaic takes it."""
    style()
    return plt.subplot_mosaic(pattern, figsize=(width, height), layout="constrained")


def style() -> None:
    """Set matplotlib's defaults, whatever they were."""
    plt.rcParams.update(matplotlib.rcParamsDefault | STYLE | {"backend": "Agg"})


def title(axes: Axes, curve: Mapping[str, object]) -> None:
    """Scenario in bold, then model and split, which together name a curve."""
    for text, shift, how in (
        (curve["scenario"], (-10, 11), {"fontweight": "bold", "fontsize": 7}),
        (f"{curve['model']}, {curve['split']}", (-10, 4.5), {"fontsize": SMALL, "color": "#555555"}),
    ):
        axes.annotate(text, (0, 1), shift, "axes fraction", "offset points", annotation_clip=False, **how)


def legend(figure: Figure, entries: list[Line2D], columns: int = 10) -> None:
    """Below all panels, never over them."""
    columns, width = min(columns, len(entries)), figure.get_figwidth()
    tight = {"columnspacing": 1.2} if width > COLUMN else {"columnspacing": 0.8, "fontsize": SMALL}
    how = {"handles": entries, "ncols": columns, "frameon": False, "handlelength": 2.2} | tight
    if hasattr(figure, "places"):
        _place(figure, 0.06 + (0.125 if width > COLUMN else 0.112) * -(-len(entries) // columns))
        figure.legend(loc="lower center", borderpad=0, borderaxespad=0.2, labelspacing=0.3, **how)
    else:
        figure.legend(loc="outside lower center", **how)
