"""Depth of every pixel, scored by the mean relative error."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lamofc.tasks import depth


class Task(depth.Task):
    metric, unit, higher_is_better = "abs-rel", "", False
    of_chance = "abs_rel"

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return outcomes["abs_rel"].mean(-1)
