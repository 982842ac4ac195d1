"""How well distortion predicts what the task loses: rank correlations over all codecs and points of a curve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lamofc import statistics
from lamofc.plotting import layout
from lamofc.results import sections, table

# Measures are no codecs: markers that no family has, and shades of one scale that differ in lightness too.
PREDICTORS = {
    "MSE": ("1", "#000000"), "relative MSE": ("|", "#0072b2"),
    "1 - cosine": ("x", "#d55e00"), "1 - CKA": ("+", "#009e73"),
}  # fmt: skip
COLUMNS = {"MSE": "mse", "relative MSE": "rel_mse", "1 - cosine": "cosine", "1 - CKA": "cka"}
EFFECTS = {"damage": "damage to outputs", "loss": "loss of score"}
KEPT = 0.9  # share of the score above which a point is of use
RESAMPLES = 500
FEWEST = 8  # points below which a rank correlation says nothing
ALL = "median over curves"


def draw(scores: Path, families: Mapping[str, str]) -> Figure:
    rows = table.read(scores)
    groups = sections.of(rows, families)
    points = _prepared(rows)
    regimes = [(points, "all lossy points"), (points[points.useful], f"points that keep {100 * KEPT:g} %")]
    regimes = [r for r in regimes if r[0].groupby("curve").size().max() >= FEWEST] or regimes[:1]
    places = _places(groups)
    count = 2 * len(regimes)
    figure, axes = layout.panels(count, count, 0.8 + 0.15 * (max(places.values()) + 1), sharex=True, sharey=True)
    for panel, (effect, (own, title)) in zip(axes, [(e, r) for e in EFFECTS for r in regimes], strict=True):
        panel.set_title(f"{EFFECTS[effect]},\n{title}", loc="left")
        _panel(panel, own, effect, places)
    _label(axes[0], rows, groups, places)
    for panel in axes:
        panel.set_xlabel("rank correlation (Spearman)", fontsize=layout.SMALL)
    entries = [Line2D([], [], marker=m, color=c, label=n, lw=0.8) for n, (m, c) in PREDICTORS.items() if n in points]
    layout.legend(figure, entries)
    return figure


def _prepared(rows: pd.DataFrame) -> pd.DataFrame:
    """Lossy points with the measures, larger being worse, and what the task loses."""
    aims = [table.target(r, r.reference_quality, KEPT) for r in rows.itertuples()]
    lossy = rows.assign(loss=rows.reference_quality - rows.quality, useful=rows.quality >= np.array(aims, float))
    known = {n: c for n, c in COLUMNS.items() if c in rows}  # tables of older runs have no MSE
    lossy = lossy.assign(**{n: 1 - rows[c] if n.startswith("1 -") else rows[c] for n, c in known.items()})
    return lossy[(rows.rel_mse > 0) & (rows.family != "input")]


def _places(groups: Mapping[str, list[str]]) -> dict[str, float]:
    """{curve: its height}, below one line for the median of all and headings between sections."""
    found, y = {ALL: 0.0}, 1.0
    for names in groups.values():
        found |= {name: y + 1 + i for i, name in enumerate(names)}
        y += len(names) + 1
    return found


def _panel(axes: object, points: pd.DataFrame, effect: str, places: Mapping[str, float]) -> None:
    known = [n for n in PREDICTORS if n in points]
    for offset, name in zip(np.linspace(-0.3, 0.3, len(known)), known, strict=True):
        marker, colour = PREDICTORS[name]
        values = []
        for curve in [c for c in places if c != ALL]:
            own = points[(points.curve == curve) & np.isfinite(points[name])]
            if len(own) < FEWEST:
                continue
            value, low, high = correlation(own, name, effect)
            axes.plot([low, high], [places[curve] + offset] * 2, color=colour, lw=0.7)
            axes.plot(value, places[curve] + offset, marker=marker, color=colour, ms=3.5, mew=0.9)
            values.append(value)
        if values:
            axes.plot(np.nanmedian(values), places[ALL] + offset, marker=marker, color=colour, ms=5, mew=1.4)
    for x, style in ((1, "-"), (0, ":")):
        axes.axvline(x, color="k", lw=0.5, ls=style, zorder=0)
    axes.grid(axis="x")


def _label(axes: object, rows: pd.DataFrame, groups: Mapping[str, list[str]], places: Mapping[str, float]) -> None:
    first = rows.drop_duplicates("curve").set_index("curve")
    names = {c: c if c == ALL else f"{first.scenario[c]}, {first.model[c]}, {first.split[c]}" for c in places}
    axes.set_yticks(list(places.values()), list(names.values()), fontsize=layout.SMALL)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(max(places.values()) + 0.6, -0.7)
    axes.set_xlim(-1.05, 1.05)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "", "0", "", "1"])
    style = {"ha": "right", "va": "center", "fontsize": 6.5, "fontweight": "bold", "color": layout.HEADING}
    for heading, curves in groups.items():
        at = (0, places[curves[0]] - 1), (-4, 0), ("axes fraction", "data"), "offset points"
        axes.annotate(heading, *at, annotation_clip=False, **style)


def correlation(points: pd.DataFrame, name: str, effect: str) -> tuple[float, float, float]:
    """Rank correlation and its interval; whole ladders are drawn again: points of one codec depend on each other."""
    value = statistics.rank_correlation(points[name].to_numpy(), points[effect].to_numpy())
    codecs, number = np.unique(points.codec, return_inverse=True)
    chosen = statistics.resample(len(codecs), 0, RESAMPLES)
    times = np.stack([np.bincount(c, minlength=len(codecs)) for c in chosen])[:, number]
    values = statistics.weighted_rank_correlations(points[name].to_numpy(), points[effect].to_numpy(), times)
    values = values[np.isfinite(values)]
    return (value, *statistics.percentiles(values)) if len(values) else (value, np.nan, np.nan)
