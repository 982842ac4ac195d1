"""What makes features heterogeneous, by model, tensor kind and depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from lamofc import plotting
from lamofc.results import features, table
from lamofc.results.features import Tensor

EDGES = np.concatenate([-np.geomspace(1e3, 0.1, 81), np.linspace(-0.1, 0.1, 5)[1:-1], np.geomspace(0.1, 1e3, 81)])
HEADS = ("values", "channel energy", "token correlation", "covariance spectrum", "intrinsic dimension")
XLABELS = ("value / RMS (symlog)", "channel, by energy (%)", "lag (tokens)", "component (log)", "layer")
YLABELS = ("density", "energy / mean", "cosine", "variance", "dimension")


def draw(scores: Path, features: Sequence[Path]) -> Figure:
    rows = table.read(scores)
    models = rows.drop_duplicates("curve").set_index("curve").model.to_dict()
    groups = _groups(features, models)
    height = max(0.82, min(1.0, plotting.TALL / len(groups)))
    figure, axes = plotting.panels(5 * len(groups), 5, height)
    for line, (name, tensors) in enumerate(groups.items()):
        own = axes[5 * line : 5 * line + 5]
        for panel, plot in zip(own, (_histogram, _energy, _correlation, _spectrum, _dimension), strict=True):
            plot(panel, tensors)
            panel.grid(axis="y")
            if not _holds_data(panel):  # vectors without positions have no correlation over them
                panel.axis("off")
        own[0].set_title(f"{name[0]}, {name[1]}", loc="left", fontweight="bold", fontsize=6.5, pad=3)
    for panel, head in zip(axes[1:5], HEADS[1:], strict=True):
        panel.set_title(head, loc="left", fontsize=6.5)
    axes[0].text(0, 1.6, HEADS[0], transform=axes[0].transAxes, fontsize=6.5)
    for panel, label in zip(axes[-5:], XLABELS, strict=True):
        panel.set_xlabel(label)
    for panel, label in zip(axes, YLABELS * len(groups), strict=True):
        panel.set_ylabel(label, labelpad=1, fontsize=5)
        panel.tick_params(labelsize=5.5, pad=1.5)
    shades = [
        Line2D([], [], color=_shade(s), label=n)
        for s, n in ((0.0, "first layer"), (0.5, "middle"), (1.0, "last layer"))
    ]
    plotting.legend(figure, [*shades, Line2D([], [], ls="", marker="|", color="k", label="largest value")])
    return figure


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
    axes.xaxis.set_minor_locator(plotting.no_ticks())
    axes.set_yscale("log")
    axes.set_ylim(1e-9, 10)
    _few_decades(axes.yaxis)


def _energy(axes: Axes, tensors: Sequence[Tensor]) -> None:
    for tensor, colour in _coloured(tensors):
        energy = features.energies(tensor.values)
        axes.plot(100 * np.arange(1, len(energy) + 1) / len(energy), np.maximum(energy, 1e-6), color=colour, lw=0.7)
    axes.set_yscale("log")
    low, high = axes.dataLim.intervaly
    axes.set_ylim(min(0.1, low / 1.5), max(10, high * 1.5))
    _few_decades(axes.yaxis)


def _few_decades(axis: object) -> None:
    """Labels at powers of ten alone, and few of them."""
    axis.set_major_locator(LogLocator(numticks=4))
    axis.set_minor_locator(plotting.no_ticks())


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
        _few_decades(axis)


def _dimension(axes: Axes, tensors: Sequence[Tensor]) -> None:
    layers = [number if t.spec.layer is None else t.spec.layer for number, t in enumerate(tensors)]
    for layer, (tensor, colour) in zip(layers, _coloured(tensors), strict=True):
        axes.plot(layer, features.intrinsic_dimension(tensor.values), marker="o", color=colour, ms=3)
    if np.isfinite(axes.dataLim.y1):  # else no tensor has enough positions
        axes.set_ylim(0, 1.12 * axes.dataLim.y1)
    axes.set_xlim(min(layers) - 0.7, max(layers) + 0.7)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_xticks(sorted(set(layers))[:: -(-len(set(layers)) // 6)])
