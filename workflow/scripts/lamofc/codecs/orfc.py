"""Product quantisation whose rotation and codebooks were trained through the frozen tail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc.codecs import opq
from lamofc.codecs.vector_codec import VECTORS
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import product
from lamofc.transforms import vectors


@dataclass(frozen=True)
class Codec(opq.Codec):
    """ORFC: OPQ whose components are principal in the tail's own measure of an error, and whose rotation (Cayley) and
    codebooks are then trained by gradients through the tail: soft-to-hard assignment, rate + lambda x tail distortion.

    Training takes the points with groups of at least 8 (training/through_tail.py); finer ones stay as they start.
    Where no tail is at hand (imported features) all stay as they start, and without sensitivity that is plain OPQ.
    """

    uses_sensitivity: ClassVar[bool] = True
    trained_by: ClassVar[str] = "lamofc.training.through_tail"
    orthonormal: ClassVar[bool] = False

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        return self.fit_with(specs, samples, None)

    def fit_with(
        self, specs: Sequence[TensorSpec], samples: Iterable[Sample], sensitivity: Assets | None
    ) -> dict[str, np.ndarray]:
        """As OPQ; `sensitivity` (stages.sensitivity) is what errors cost."""
        firsts = vectors.Firsts(specs)
        assets: dict[str, np.ndarray] = {}
        for name, columns in vectors.gather(specs, firsts.watched(samples), VECTORS).items():
            metric = (sensitivity or {}).get(name, np.eye(len(columns)))
            assets |= product.fit(name, columns, opq.BOOKS, self.pressure, metric)
        return assets | firsts.means()
