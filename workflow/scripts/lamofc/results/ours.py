"""BD-rate of the project's own codec against every other codec of a run, and its means over scenarios and categories."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lamofc import bd, statistics
from lamofc.results import comparison, outcomes, table

FAMILY = "ours"
PAIR, BEST = "paper's pair", "best other"
_PAPER = re.compile(r"dtufc-(hyperprior|elic)-nearest")
_BESIDE = ("input", FAMILY)  # families that are no other codec of the same features


def duels(scores: Path, samples: Path, resamples: int = comparison.RESAMPLES) -> pd.DataFrame:
    """One row per (curve, other codec, measure): value, interval, `draws` (log ratios by resample), who is better.

    better: "ours" or "theirs" where the 95 % interval excludes zero. Inputs, variants of our own codec and
    transferred codecs are left out. Empty where the run holds no codec of ours.
    """
    rows = table.read(scores)
    mine = rows[rows.family == FAMILY].codec
    rows = rows[~rows.family.isin(_BESIDE) & ~rows.codec.str.endswith("-zero-shot") | (rows.codec == mine.min())]
    found = [] if mine.empty else [d for c, drawn in outcomes.by_curve(samples, rows, resamples)
                                   for d in _of_curve(rows[rows.curve == c], drawn, mine.min())]  # fmt: skip
    return pd.DataFrame(found)


def _of_curve(rows: pd.DataFrame, drawn: outcomes.Resamples, mine: str) -> Iterator[dict[str, object]]:
    own = {codec: points for _, codec, points in table.ladders(rows)}
    for codec in [c for c in own if c != mine and mine in own]:
        for measure in comparison.MEASURES:
            pairs = [comparison.fixed(own[c], measure) for c in (codec, mine)]
            found, draws = comparison.value(pairs, bd.bd_rate), np.full(1, np.nan)
            if not found.refused:
                varied = [comparison.varied(own[c], measure, drawn, c) for c in (codec, mine)]
                draws = np.log1p(comparison.resampled(varied, bd.bd_rate) / 100)
            first = rows.iloc[0]
            yield {"curve": first.curve, "category": first.category, "scenario": first.scenario, "ours": mine,
                   "codec": codec, "measure": measure, "value": found.value, "draws": draws,
                   "overlap": found.overlap, "refused": found.refused} | _ends(draws)  # fmt: skip


def _ends(draws: np.ndarray) -> dict[str, object]:
    low, high = (100 * np.expm1(end) for end in comparison.interval(draws))
    return {"low": low, "high": high, "better": "ours" if high < 0 else "theirs" if low > 0 else ""}


def chosen(found: pd.DataFrame, against: str) -> pd.DataFrame:
    """Of every (curve, measure) the row of the hardest opponent: among the paper's codecs, or among all."""
    rows = found[found.value.notna()]
    if against == PAIR:
        rows = rows[rows.codec.map(lambda c: bool(_PAPER.fullmatch(c)))]
    best = rows.loc[rows.groupby(["curve", "measure"], sort=False).value.idxmax()] if len(rows) else rows
    return best.assign(against=against)


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Geometric means of `chosen` rows: per scenario over its curves, then over scenarios, per category and of all."""
    out = []
    for (against, measure), own in rows.groupby(["against", "measure"], sort=False):
        out += [_mean("scenario", s, g, against, measure) for s, g in own.groupby("scenario", sort=False)]
        out += [_mean("category", c, g, against, measure) for c, g in own.groupby("category", sort=False)]
        out.append(_mean("all", "all", own, against, measure))
    return pd.DataFrame(out)


def _mean(level: str, name: str, rows: pd.DataFrame, against: str, measure: str) -> dict[str, object]:
    grouped = [g for _, g in rows.groupby("scenario", sort=False)]
    value = np.mean([np.log1p(g.value / 100).mean() for g in grouped])
    width = max(map(len, rows.draws))
    draws = np.mean([np.mean([_full(d, width) for d in g.draws], 0) for g in grouped], 0)
    return {"level": level, "name": name, "against": against, "measure": measure, "curves": len(rows),
            "scenarios": len(grouped), "value": 100 * np.expm1(value)} | _ends(draws)  # fmt: skip


def _full(draws: np.ndarray, width: int) -> np.ndarray:
    """Draws without a value take the mean of the others: a mean over curves needs one of each."""
    held = draws[np.isfinite(draws)]
    return np.where(np.isfinite(draws), draws, held.mean()) if held.size else np.full(width, np.nan)
