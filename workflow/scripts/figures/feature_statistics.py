"""What makes features heterogeneous, by model, tensor kind and depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lamofc.plotting import layout, scales
from lamofc.results import features, table
from lamofc.results.features import Tensor

EDGES = np.concatenate([-np.geomspace(1e3, 0.1, 81), np.linspace(-0.1, 0.1, 5)[1:-1], np.geomspace(0.1, 1e3, 81)])
HEADS = ("density of values", "channel energy / mean", "cosine of tokens", "share of variance", "intrinsic dimension")
XLABELS = ("value / RMS (symlog)", "channels, by energy (%)", "lag (tokens)", "component (log)", "layer")
LETTER = 0.054  # inches of a letter of a name
TICKS, HEAD, ROW, GAP = 0.3, 0.2, 0.42, 0.1  # inches: labels of y axes, heads, a panel, between panels


def draw(scores: Path, features: Sequence[Path]) -> Figure:
    """A row of panels per (model, kind); a column shares its axes, so that rows can be compared."""
    rows = table.read(scores)
    models = rows.drop_duplicates("curve").set_index("curve").model.to_dict()
    groups = _groups(features, models)
    figure, grid = _grid(list(groups))
    for line, tensors in zip(grid, groups.values(), strict=True):
        for panel, plot in zip(line, (_histogram, _energy, _correlation, _spectrum, _dimension), strict=True):
            plot(panel, tensors)
    for column, head, label in zip(zip(*grid, strict=True), HEADS, XLABELS, strict=True):
        filled = [p for p in column if _holds_data(p)]
        _share(filled)
        for panel in {*column} - {*filled}:  # vectors without positions have no correlation over them
            panel.axis("off")
        column[0].set_title(head, loc="left", fontsize=6, x=-0.18)
        for panel in filled:
            panel.grid(axis="y")
            panel.tick_params(labelsize=layout.SMALL, pad=1.5, labelbottom=panel is filled[-1])
            panel.set_ylabel("")
        filled[-1].set_xlabel(label, fontsize=6, labelpad=1)
    shades = [
        Line2D([], [], color=_shade(s), label=n)
        for s, n in ((0.0, "first layer"), (0.5, "middle"), (1.0, "last layer"))
    ]
    layout.legend(figure, [*shades, Line2D([], [], ls="", marker="|", color="k", label="largest value")])
    return figure


def _grid(names: Sequence[tuple[str, str]]) -> tuple[Figure, list[list[Axes]]]:
    left = 0.06 + LETTER * max(len(model) for model, _ in names)
    wide, pitch = (layout.PAGE - left) / len(HEADS), ROW + GAP
    boxes = {
        f"{line} {column}": (left + column * wide + TICKS, HEAD + line * pitch, wide - TICKS - 0.06, ROW)
        for line in range(len(names))
        for column in range(len(HEADS))
    }
    figure, placed = layout.inches(layout.PAGE, HEAD + len(names) * pitch + 0.28, boxes)
    for line, (model, kind) in enumerate(names):
        first = placed[f"{line} 0"]
        for text, height, weight in ((model, 0.62, "bold"), (kind, 0.32, None)):
            first.annotate(text, (0, height), (-72 * TICKS - 1, 0), "axes fraction", "offset points", ha="right",
                           va="center", fontsize=6, fontweight=weight, annotation_clip=False)  # fmt: skip
    return figure, [[placed[f"{line} {c}"] for c in range(len(HEADS))] for line in range(len(names))]


def _share(panels: Sequence[Axes]) -> None:
    """The widest range of any panel for all of a column."""
    for get, put in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
        ends = [getattr(p, get)() for p in panels]
        for panel in panels:
            getattr(panel, put)(min(a for a, _ in ends), max(b for _, b in ends))


def _holds_data(panel: Axes) -> bool:
    heights = [np.asarray(line.get_ydata(), float) for line in panel.lines]
    heights += [np.ma.filled(c.get_offsets(), np.nan)[:, 1] for c in panel.collections]
    return any(np.isfinite(h).any() for h in heights)


def _groups(folders: Sequence[Path], models: dict[str, str]) -> dict[tuple[str, str], list[Tensor]]:
    """Tensors by (model, kind), in order of depth."""
    groups: dict[tuple[str, str], list[Tensor]] = {}
    for tensor in features.tensors(folders, models):
        groups.setdefault((tensor.model, tensor.spec.kind), []).append(tensor)
    return {k: sorted(v, key=lambda t: (t.spec.layer or 0, t.spec.name)) for k, v in groups.items()}


def _shade(depth: float) -> tuple[float, ...]:
    return colormaps["viridis"](0.85 * depth)


def _coloured(tensors: Sequence[Tensor]) -> list[tuple[Tensor, tuple[float, ...]]]:
    last = max(len(tensors) - 1, 1)
    return [(t, _shade(i / last)) for i, t in enumerate(tensors)]


def _histogram(axes: Axes, tensors: Sequence[Tensor]) -> None:
    middle, width = (EDGES[1:] + EDGES[:-1]) / 2, np.diff(EDGES)
    for tensor, colour in _coloured(tensors):
        share = features.histogram(tensor.values, EDGES) / width
        axes.plot(middle, np.where(share > 0, share, np.nan), color=colour, lw=0.7)
        for index in (np.flatnonzero(share)[[0, -1]]) if share.any() else ():
            axes.plot(middle[index], share[index], marker="|", color=colour, ms=6)
    axes.set_xscale("symlog", linthresh=1, linscale=1)
    axes.set_xlim(-1e3, 1e3)
    axes.set_xticks([-100, -10, -1, 0, 1, 10, 100], ["−100", "", "", "0", "", "", "100"])
    axes.xaxis.set_minor_locator(scales.no_ticks())
    axes.set_yscale("log")
    axes.set_ylim(1e-9, 10)
    scales.decades(axes.yaxis)


def _energy(axes: Axes, tensors: Sequence[Tensor]) -> None:
    for tensor, colour in _coloured(tensors):
        energy = features.energies(tensor.values)
        axes.plot(100 * np.arange(1, len(energy) + 1) / len(energy), np.maximum(energy, 1e-6), color=colour, lw=0.7)
    axes.set_yscale("log")
    low, high = axes.dataLim.intervaly
    axes.set_ylim(min(0.1, low / 1.5), max(10, high * 1.5))
    scales.decades(axes.yaxis)


def _correlation(axes: Axes, tensors: Sequence[Tensor]) -> None:
    for tensor, colour in _coloured(tensors):
        axes.plot(features.LAGS, features.correlation(tensor.samples), color=colour, lw=0.7)
    low = axes.dataLim.y0 if np.isfinite(axes.dataLim.y0) else 0.0
    axes.set_ylim(min(-0.3, 1.1 * low), 1)


def _spectrum(axes: Axes, tensors: Sequence[Tensor]) -> None:
    for tensor, colour in _coloured(tensors):
        found = features.spectrum(tensor.values)
        found = found[found > 1e-8]
        axes.plot(np.arange(1, len(found) + 1), found, color=colour, lw=0.7)
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        scales.decades(axis)


def _dimension(axes: Axes, tensors: Sequence[Tensor]) -> None:
    layers = [number if t.spec.layer is None else t.spec.layer for number, t in enumerate(tensors)]
    for layer, (tensor, colour) in zip(layers, _coloured(tensors), strict=True):
        axes.plot(layer, features.intrinsic_dimension(tensor.values), marker="o", color=colour, ms=3, clip_on=False)
    if np.isfinite(axes.dataLim.y1):  # else no tensor has enough positions
        axes.set_ylim(0, 1.12 * axes.dataLim.y1)
    axes.set_xlim(min(layers) - 0.7, max(layers) + 0.7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
