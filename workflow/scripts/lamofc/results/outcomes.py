"""Resampled scores: the same samples are drawn for every codec of a curve, so that differences are paired."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from lamofc import statistics, tasks

REFERENCE = "reference."
BESIDE = {"curve", "codec", "point", "task", "sample", "damage", "flip"}


class Resamples:
    """Bootstrap of one curve. quality: {(codec, point): (resamples,)}; reference: (resamples,), uncompressed."""

    def __init__(self, rows: pd.DataFrame, higher_is_better: bool, unit: str, resamples: int) -> None:
        self._task = tasks.load(rows.task.iloc[0])
        self._turn = (lambda s: s) if higher_is_better else (lambda s: 100 - s) if unit == "%" else (lambda s: -s)
        names = [c for c in rows.columns if c not in BESIDE and rows[c].notna().any()]
        groups = {k: g.sort_values("sample") for k, g in rows.groupby(["codec", "point"], sort=False)}
        counts = {len(g) for g in groups.values()}
        if len(counts) > 1:
            raise ValueError(f"{rows.curve.iloc[0]}: codecs were scored on different samples ({sorted(counts)})")
        self._chosen = statistics.resample(counts.pop(), resamples=resamples)
        first = next(iter(groups.values()))
        own = [n for n in names if not n.startswith(REFERENCE)]
        self.reference = self._scores({n: first[REFERENCE + n].to_numpy() for n in own})
        self.quality = {k: self._scores({n: g[n].to_numpy() for n in own}) for k, g in groups.items()}
        self.damage = {k: g.damage.to_numpy()[self._chosen].mean(1) for k, g in groups.items()}

    def _scores(self, outcomes: dict[str, np.ndarray]) -> np.ndarray:
        # A score is a function of outcomes alone, so that no data set needs to be there to resample it.
        score = partial(self._task.score, None)
        return self._turn(np.asarray(score({k: v[self._chosen] for k, v in outcomes.items()}), float))


def by_curve(path: Path, table: pd.DataFrame, resamples: int = statistics.RESAMPLES) -> Iterator[tuple[str, Resamples]]:
    """(curve, its resamples) in the order of the table."""
    outcomes = pd.read_parquet(path)
    for curve, rows in table.groupby("curve", sort=False):
        first = rows.iloc[0]
        yield curve, Resamples(outcomes[outcomes.curve == curve], bool(first.higher_is_better), first.unit, resamples)
