"""BD-score of every codec against the anchor."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lamofc import bd
from lamofc.results import comparison, numbers

CAPTION = (
    "BD-score against {anchor}: mean difference of the score at equal rate, in its own unit, turned so that positive "
    "is better; on damage: in decades of damage. 95 % intervals by paired bootstrap; overlap of the two rate ranges. "
    "– : refused, with the reason in the TSV."
)


def make(scores: Path, samples: Path, anchor: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    tidy = comparison.against(scores, samples, anchor, bd.bd_quality)
    return tidy, numbers.side_by_side(tidy, ""), CAPTION.format(anchor=anchor)
