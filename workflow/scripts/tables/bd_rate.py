"""BD-rate of every codec against the anchor."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lamofc import bd
from lamofc.results import comparison, numbers

CAPTION = (
    "BD-rate in percent against {anchor} (negative: fewer bits at equal score), 95 % intervals by paired bootstrap; "
    "overlap of the two score ranges. On damage: the same at equal -log10 of the damage to the tail's outputs, "
    "which is finer than the score. – : refused, with the reason in the TSV."
)


def make(scores: Path, samples: Path, anchor: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    tidy = comparison.against(scores, samples, anchor, bd.bd_rate)
    return tidy, numbers.side_by_side(tidy, " (%)"), CAPTION.format(anchor=anchor)
