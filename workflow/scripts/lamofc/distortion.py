"""How far decoded features are from the original ones, whatever the task makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamofc.dtypes import to_float32
from lamofc.interfaces import Sample, TensorSpec

ALIGNED = 256  # rows that enter CKA: its cost grows with their square


class Distortion:
    """Accumulates over samples. Each tensor counts the same, whatever its size, but in `mse`.

    mse: squared error in the features' own units, mean over all values, so that the tensors of large values rule it.
    rel_mse: sum of squared errors / sum of squares, mean over tensors.
    cosine: cosine between original and decoded rows (tokens, or the whole tensor where there are none),
    mean over rows, then over tensors.
    cka: linear centred kernel alignment between the rows of a sample (Kornblith et al. 2019), mean over samples,
    then over tensors; NaN where no sample has three rows that differ.
    Where the input was sent and a head gives another number of tokens for it, a row that one side lacks is zero there.
    Where a codec evicted tokens of keys and values, none of these is defined: NaN.
    """

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self.specs = list(specs)
        self._sums = np.zeros((len(self.specs), 5))  # squared error, squares, cosines, rows, values
        self._alignments: list[list[float]] = [[] for _ in self.specs]

    def add(self, original: Sample, decoded: Sample) -> None:
        for sums, alignments, spec in zip(self._sums, self._alignments, self.specs, strict=True):
            if spec.kind in ("key", "value") and original[spec.name].shape != decoded[spec.name].shape:
                sums += np.nan
                continue
            x, y = _alike(*(_rows(to_float32(s[spec.name]), spec) for s in (original, decoded)))
            norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
            dots = np.einsum("ij,ij->i", x, y, dtype=np.float64)
            both_zero = ~x.any(1) & ~y.any(1)
            cosines = np.where(both_zero, 1.0, dots / np.maximum(norms, 1e-30))
            errors, squares = (np.square(a, dtype=np.float64).sum() for a in (x - y, x))
            sums += errors, squares, cosines.sum(), len(x), x.size
            alignments.append(_alignment(x, y))

    def mse(self) -> float:
        return float(self._sums[:, 0].sum() / max(self._sums[:, 4].sum(), 1))

    def rel_mse(self) -> float:
        return float(np.mean(self._sums[:, 0] / np.maximum(self._sums[:, 1], 1e-300)))

    def cosine(self) -> float:
        return float(np.mean(self._sums[:, 2] / np.maximum(self._sums[:, 3], 1)))

    def cka(self) -> float:
        means = [np.nanmean(a) if np.isfinite(a).any() else np.nan for a in self._alignments]
        return float(np.nanmean(means)) if np.isfinite(means).any() else float("nan")


def _alignment(x: np.ndarray, y: np.ndarray) -> float:
    """Linear CKA of two (rows, channels) float32 arrays over at most ALIGNED rows, evenly spaced; NaN if undefined."""
    if len(x) < 3:
        return float("nan")
    step = -(-len(x) // ALIGNED)
    x, y = ((a - a.mean(0, dtype=np.float64)).astype(np.float32) for a in (x[::step], y[::step]))
    grams = [np.asarray(a @ a.T, np.float64) for a in (x, y)]
    norms = np.linalg.norm(grams[0]) * np.linalg.norm(grams[1])
    return float(np.vdot(grams[0], grams[1]) / norms) if norms > 0 else float("nan")


def _alike(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with as many rows as the longer one has."""
    rows = max(len(x), len(y))
    return tuple(np.pad(a, ((0, rows - len(a)), (0, 0))) if len(a) < rows else a for a in (x, y))


def _rows(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    if spec.kind in ("key", "value"):  # one row per token, heads joined
        return np.moveaxis(array, 1, 0).reshape(array.shape[1], array.shape[0] * array.shape[2])
    if spec.kind in ("tokens", "embedding"):
        return array.reshape(-1, array.shape[-1])
    return array.reshape(1, -1)
