"""How well distortion predicts what the task loses: rank correlations over all codecs and points of a curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lamofc import plotting, statistics
from lamofc.results import table

PREDICTORS = {"relative MSE": ("o", "#0072b2"), "1 - cosine": ("^", "#d55e00"), "1 - CKA": ("D", "#009e73")}
KEPT = 0.9  # share of the score above which a point is of use
RESAMPLES = 500
FEWEST = 8  # points below which a rank correlation says nothing


def draw(scores: Path) -> Figure:
    rows = table.read(scores)
    rows = rows[rows.rel_mse > 0].assign(loss=lambda r: r.reference_quality - r.quality)
    rows = rows.assign(**{"relative MSE": rows.rel_mse, "1 - cosine": 1 - rows.cosine, "1 - CKA": 1 - rows.cka})
    useful = rows[rows.quality >= KEPT * rows.reference_quality]
    names = table.curves(rows)
    regimes = [(rows, "all lossy points"), (useful, f"{KEPT:.0%} of score kept")]
    regimes = [r for r in regimes if r[0].groupby("curve").size().max() >= FEWEST] or regimes[:1]
    count = len(regimes)
    figure, axes = plotting.panels(2 * count, count, 0.7 + 0.17 * len(names), sharex=True, sharey=True)
    for number, panel in enumerate(axes):
        (points, title), effect = regimes[number % count], ("damage", "loss")[number // count]
        panel.set_title(f"{'damage to outputs' if effect == 'damage' else 'loss of score'}: {title}", loc="left")
        for y, curve in enumerate(names):
            _bars(panel, y, points[points.curve == curve], effect)
        panel.axvline(1, color="k", lw=0.5)
        panel.axvline(0, color="k", lw=0.5, ls=":")
        panel.grid(axis="x")
    first = rows.drop_duplicates("curve").set_index("curve").loc[names]
    axes[0].set_yticks(range(len(names)), [f"{c.scenario}, {c.model}, {c.split}" for c in first.itertuples()])
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    axes[0].set_xlim(min(-0.05, *(a.dataLim.x0 for a in axes)), 1.03)
    for panel in axes[-count:]:
        panel.set_xlabel("Spearman rank correlation")
    plotting.legend(figure, [Line2D([], [], ls="", marker=m, color=c, label=n) for n, (m, c) in PREDICTORS.items()])
    return figure


def _bars(axes: object, y: int, points: pd.DataFrame, effect: str) -> None:
    for offset, (name, (marker, colour)) in zip((-0.25, 0, 0.25), PREDICTORS.items(), strict=True):
        known = points[np.isfinite(points[name])]
        if len(known) < FEWEST:
            continue
        value, low, high = correlation(known, name, effect)
        axes.plot([low, high], [y + offset] * 2, color=colour, lw=0.8)
        axes.plot(value, y + offset, marker=marker, color=colour, ms=3)


def correlation(points: pd.DataFrame, name: str, effect: str) -> tuple[float, float, float]:
    """Rank correlation and its interval; whole ladders are drawn again: points of one codec depend on each other."""
    ladders = [own[[name, effect]].to_numpy() for _, own in points.groupby("codec", sort=False)]
    value = statistics.rank_correlation(points[name].to_numpy(), points[effect].to_numpy())
    drawn = [np.concatenate([ladders[i] for i in chosen]) for chosen in statistics.resample(len(ladders), 0, RESAMPLES)]
    values = np.array([statistics.rank_correlation(*d.T) for d in drawn])
    values = values[np.isfinite(values)]
    return (value, *statistics.percentiles(values)) if len(values) else (value, np.nan, np.nan)
