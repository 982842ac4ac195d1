"""Depth of every pixel, scored by the share of pixels within a factor of 1.25 of the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lamofc.tasks import depth


class Task(depth.Task):
    metric, unit, higher_is_better = "delta<1.25", "%", True
    of_chance = "delta"

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["delta"].mean(-1)
