"""Axes that all figures share: log bits, scores with better upwards, plain numbers at ticks, lines to compare with."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, NullFormatter, NullLocator

from lamofc.plotting.layout import SMALL

LONGEST_LABEL = 20  # characters of a line beside a small panel


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
    axes.set_ylabel(label, labelpad=1, fontsize=SMALL if "\n" in label else 6, linespacing=0.9)
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


def label_bits(axes: Axes) -> None:
    """The x axis of a small panel."""
    axes.set_xlabel("bits per feature point (log)", labelpad=1, fontsize=SMALL)


def shared_bits(axes: Iterable[Axes], rates: Iterable[float]) -> None:
    """The same range of log rates in all panels, so that they can be compared."""
    rates = [r for r in rates if np.isfinite(r)]
    wide = max(rates) > 1e4 * min(rates)  # labels of more decades run into each other
    for panel in axes:
        panel.set_xlim(min(rates) / 1.4, max(rates) * 1.4)
        panel.xaxis.set_major_locator(LogLocator(base=100.0 if wide else 10.0, numticks=12))
        panel.xaxis.set_minor_locator(LogLocator(numticks=12) if wide else no_ticks())


def bits_axis(axis: object, fine: bool | None = False) -> None:
    """Log ticks as plain numbers: 0.1, 1, 10; `fine`: also 2 and 5, for ranges of few decades; None: by range."""
    low, high = axis.get_view_interval()
    if fine or (fine is None and low > 0 and high < 60 * low):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())


def decades(axis: object, ticks: int = 4) -> None:
    """Few labels, at powers of ten: 1e-5, 0.01, 1, 100; no raised exponents, which are too small in print."""
    axis.set_major_locator(LogLocator(numticks=ticks))
    axis.set_major_formatter(FuncFormatter(lambda v, _: power(v)))
    axis.set_minor_locator(no_ticks())


def power(value: float) -> str:
    """0.01, 1, 1000 as they are, beyond that 1e−5, 1e4."""
    if value <= 0 or 1e-3 < value < 1e4:
        return f"{value:g}"
    return f"1e{round(np.log10(value))}".replace("-", "−")


def no_ticks() -> Locator:
    return NullLocator()
