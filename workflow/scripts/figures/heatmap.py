"""Codec against curve: bits per feature point needed for 99 % of the score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.transforms import ScaledTranslation

from lamofc.plotting import layout, looks, scales
from lamofc.results import numbers, sections, table

HATCH = "////"
BLANK = "#f2f2f2"
WHAT = "bits per feature point for 99 % of the score"
GAP = 0.25  # cells between sections
LETTER = 0.039  # inches of a letter of the smallest type
NARROW = 0.18  # inches of a cell below which it holds no number


def draw(scores: Path, rates: Path, families: Mapping[str, str], section: str | None = None) -> Figure:
    """All sections, as wide as a page; or one `section`, as wide as a column."""
    rows, at = table.read(scores), pd.read_csv(rates, sep="\t")
    at = at[at.target == at.target.max()]
    codecs, groups = _order(at, rows), sections.of(rows, families)
    known, norm = looks.of(rows), _norm(at.bpfp)
    if section is not None:
        groups = {section: groups[section]}
        at = at[at.curve.isin(groups[section])]
        codecs = [c for c in codecs if c in set(at.codec)]
    places = _places(groups)
    figure, axes = _panel(layout.PAGE if section is None else layout.COLUMN, rows, places, codecs)
    _cells(axes, at, places, codecs, norm)
    _label(axes, rows, groups, places, codecs, known)
    entries = [Patch(fill=False, hatch=HATCH, ec="#999999", lw=0, label="99 % not reached"),
               Patch(fc=BLANK, lw=0, label="not run on this curve"),
               Patch(fill=False, ec="#d55e00", label="fewest bits, or not told apart from it")]  # fmt: skip
    layout.legend(figure, looks.family_entries(at.family) + entries, columns=6 if section is None else 2)
    return figure


def _panel(width: float, rows: pd.DataFrame, places: Mapping[str, float], codecs: list[str]) -> tuple[Figure, Axes]:
    """One panel with room for the names, a bar of colours below it on a page."""
    top = 0.16 + LETTER * max(len(_name(rows, c)) for c in places)
    left = 0.2 + LETTER * max(map(len, codecs))
    tall = 0.165 * len(codecs)
    boxes = {"cells": (left, top, width - left - 0.06, tall)}
    if width == layout.PAGE:
        boxes["bar"] = (left + 0.2 * (width - left), top + tall + 0.4, 0.6 * (width - left), 0.08)
    figure, placed = layout.inches(width, top + tall + (0.85 if "bar" in boxes else 0.4), boxes)
    return figure, placed["cells"]


def _name(rows: pd.DataFrame, curve: str) -> str:
    first = rows[rows.curve == curve].iloc[0]
    return f"{first.scenario}, {first.model}, {first.split}"


def _places(groups: Mapping[str, list[str]]) -> dict[str, float]:
    """{curve: its column}, with gaps between sections."""
    found, x = {}, 0.0
    for names in groups.values():
        found |= {name: x + i for i, name in enumerate(names)}
        x += len(names) + GAP
    return found


def _order(at: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """By mean log compression; a curve on which the target is not reached counts as uncompressed."""
    bits = at.pivot(index="codec", columns="curve", values="bpfp")
    native = (rows.bpfp * rows.ratio).groupby(rows.curve).first()
    share = (bits / native[bits.columns]).replace(np.inf, 1.0)
    return list(np.log(share).mean(axis=1).sort_values(kind="stable").index)


def _cells(axes: Axes, at: pd.DataFrame, places: Mapping[str, float], codecs: list[str], norm: LogNorm) -> None:
    cells = at.set_index(["curve", "codec"])
    axes.set_xlim(0, max(places.values()) + 1)
    axes.set_ylim(len(codecs), 0)
    wide = axes.bbox.width / axes.figure.dpi / axes.get_xlim()[1]
    for curve, x in places.items():
        for y, codec in enumerate(codecs):
            if (curve, codec) in cells.index:
                _cell(axes, x, y, cells.loc[(curve, codec)], norm, wide)
            else:
                axes.add_patch(Rectangle((x, y), 1, 1, fc=BLANK, ec="w", lw=0.5))
    for below in [a for a in axes.figure.axes if a is not axes]:
        bar = axes.figure.colorbar(looks.heat(norm), cax=below, orientation="horizontal")
        bar.set_label(f"{WHAT} (log)", fontsize=layout.SMALL, labelpad=1)
        scales.bits_axis(below.xaxis)


def _norm(bits: pd.Series) -> LogNorm:
    """Of the whole table, so that a colour means the same on all pages."""
    found = bits[np.isfinite(bits)]
    low, high = (found.min(), found.max()) if len(found) else (0.1, 32)
    return LogNorm(low, max(high, 1.01 * low))


def _cell(axes: Axes, x: float, y: int, cell: pd.Series, norm: LogNorm, wide: float) -> None:
    """wide: of the cell, inches."""
    if cell.status == "not reached":
        axes.add_patch(Rectangle((x, y), 1, 1, fill=False, hatch=HATCH, ec="#999999", lw=0))
        return
    axes.add_patch(Rectangle((x, y), 1, 1, fc=looks.heat(norm).to_rgba(cell.bpfp), ec="w", lw=0.5))
    if wide >= NARROW:
        text = ("≤" if cell.status == "at most" else "") + short(cell.bpfp)
        axes.text(x + 0.5, y + 0.54, text, ha="center", va="center", fontsize=layout.SMALL,
                  color="w" if norm(cell.bpfp) > 0.55 else "k")  # fmt: skip
    if isinstance(cell.tied, str):
        inset = 0.01 / wide
        frame = Rectangle((x + inset, y + 0.06), 1 - 2 * inset, 0.88, fill=False, ec="#d55e00", lw=0.9)
        axes.add_patch(frame)


def short(bits: float) -> str:
    """At most four characters: 27, 6.6, .48, .094, .006; all digits are in the table rate_at."""
    text = numbers.plain(bits, 2) if bits >= 0.0095 else numbers.plain(bits, 1)
    return text.removeprefix("0") if bits < 1 else text.removesuffix(".0") if bits >= 10 else text


def _label(axes: Axes, rows: pd.DataFrame, groups: Mapping[str, list[str]], places: Mapping[str, float],
           codecs: list[str], known: Mapping[str, looks.Look]) -> None:  # fmt: skip
    names = [_name(rows, c) for c in places]
    axes.set_xticks([x + 0.5 for x in places.values()], names, rotation=90, fontsize=layout.SMALL)
    axes.set_yticks(np.arange(len(codecs)) + 0.5, codecs, fontsize=layout.SMALL)
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", length=0, pad=2)
    axes.tick_params(axis="y", length=0, pad=10)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for y, codec in enumerate(codecs):
        axes.plot(0, y + 0.5, clip_on=False, transform=_left_of(axes), **known[codec].line(3.5, ls=""))
    under = {"va": "top", "ha": "center", "annotation_clip": False, "xycoords": "data", "textcoords": "offset points"}
    for heading, curves in groups.items():
        text = heading if len(groups) == 1 or len(curves) > 3 else heading.replace("-to-", "-to-\n")
        middle = (places[curves[0]] + places[curves[-1]] + 1) / 2
        axes.annotate(
            text, (middle, len(codecs)), (0, -4), fontsize=6.5, fontweight="bold", color=layout.HEADING, **under
        )
    if len(groups) == 1:
        axes.annotate(WHAT, (middle, len(codecs)), (0, -14), fontsize=layout.SMALL, **under)


def _left_of(axes: Axes) -> object:
    """Heights in data, and six points left of the cells."""
    return axes.get_yaxis_transform() + ScaledTranslation(-6 / 72, 0, axes.figure.dpi_scale_trans)
