"""Depth up to scale and shift: outputs are aligned with the truth by least squares, then scored as depth is.

For heads whose metres are not those of the data set, as is DINOv3's published one, trained on synthetic scenes.
"""

from __future__ import annotations

import numpy as np

from lamofc.tasks import depth


class Task(depth.Task):
    """As tasks/depth.py; scale and shift are fitted for every picture over the pixels whose truth is known."""

    def outcome(self, output: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        return depth.errors(aligned(output, truth), truth)


def aligned(output: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """scale x output + shift that is nearest to the truth where it is known (> 0); float64.

    A constant output becomes the truth's mean.
    """
    known = truth > 0
    x, y = np.nan_to_num(output[known].astype(np.float64)), truth[known].astype(np.float64)
    spread = np.square(x - x.mean()).sum()
    scale = ((x - x.mean()) * (y - y.mean())).sum() / spread if spread else 0.0
    return scale * (output.astype(np.float64) - x.mean()) + y.mean()
