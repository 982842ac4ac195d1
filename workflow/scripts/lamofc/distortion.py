"""How far decoded features are from the original ones, whatever the task makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamofc.dtypes import to_float32
from lamofc.interfaces import Sample, TensorSpec


class Distortion:
    """Accumulates over samples. Each tensor counts the same, whatever its size.

    rel_mse: sum of squared errors / sum of squares, mean over tensors.
    cosine: cosine between original and decoded rows (tokens, or the whole tensor where there are none),
    mean over rows, then over tensors.
    """

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self.specs = list(specs)
        self._sums = np.zeros((len(self.specs), 4))  # squared error, squares, cosines, rows

    def add(self, original: Sample, decoded: Sample) -> None:
        for sums, spec in zip(self._sums, self.specs, strict=True):
            x, y = (_rows(to_float32(s[spec.name]), spec) for s in (original, decoded))
            norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
            dots = np.einsum("ij,ij->i", x, y, dtype=np.float64)
            both_zero = ~x.any(1) & ~y.any(1)
            cosines = np.where(both_zero, 1.0, dots / np.maximum(norms, 1e-30))
            sums += np.square(x - y, dtype=np.float64).sum(), np.square(x, dtype=np.float64).sum(), cosines.sum(), len(x)

    def rel_mse(self) -> float:
        return float(np.mean(self._sums[:, 0] / np.maximum(self._sums[:, 1], 1e-300)))

    def cosine(self) -> float:
        return float(np.mean(self._sums[:, 2] / np.maximum(self._sums[:, 3], 1)))


def _rows(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    if spec.kind in ("key", "value"):  # one row per token, heads joined
        return np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)
    if spec.kind in ("tokens", "embedding"):
        return array.reshape(-1, array.shape[-1])
    return array.reshape(1, -1)
