"""Tensors as matrices whose columns are the vectors that a linear transform acts on.

Tokens, keys and values: all channels of a token, heads joined, rotation by position undone. States of a recurrent
model: the states of one channel, since thousands of channels allow no transform across them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lamofc.interfaces import Sample, TensorSpec
from lamofc.transforms import rope, rows

PER_CHANNEL = ("ssm", "conv")


def dimension(spec: TensorSpec) -> int:
    """Entries of one vector."""
    return spec.shape[1] if spec.kind in PER_CHANNEL else spec.channels


def count(shape: tuple[int, ...], spec: TensorSpec) -> int:
    """Vectors of a tensor of this natural shape."""
    return shape[0] if spec.kind in PER_CHANNEL else rows.positions(shape, spec)


def to_vectors(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Native dtype (or float32) and natural shape -> (dimension, count) float32, contiguous."""
    matrix = rows.to_rows(array, spec)
    if spec.kind in PER_CHANNEL:
        return np.ascontiguousarray(matrix.T)
    if rope.applies(spec):
        heads = matrix.reshape(spec.shape[0], spec.shape[2], matrix.shape[1])
        return rope.undo(heads, spec.attributes["rope_theta"]).reshape(matrix.shape)
    return matrix


def from_vectors(vectors: np.ndarray, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `to_vectors`: rounded and clipped into the native dtype."""
    if spec.kind in PER_CHANNEL:
        vectors = np.ascontiguousarray(vectors.T)
    elif rope.applies(spec):
        heads = vectors.reshape(spec.shape[0], spec.shape[2], vectors.shape[1])
        vectors = rope.apply(heads, spec.attributes["rope_theta"]).reshape(vectors.shape)
    return rows.from_rows(vectors, spec, shape)


def gather(specs: Sequence[TensorSpec], samples: Iterable[Sample], limit: int = 1 << 14) -> dict[str, np.ndarray]:
    """Calibration vectors per tensor (dimension, n) float32.

    At most `limit` evenly spaced ones, the same of all tensors that have equally many: columns of different tensors
    belong to the same token.
    """
    found: dict[str, list[np.ndarray]] = {s.name: [np.empty((dimension(s), 0), np.float32)] for s in specs}
    for sample in samples:
        for spec in specs:
            found[spec.name].append(to_vectors(sample[spec.name], spec))
    return {name: _thinned(np.concatenate(parts, 1), limit) for name, parts in found.items()}


def _thinned(matrix: np.ndarray, limit: int) -> np.ndarray:
    total = matrix.shape[1]
    return matrix if total <= limit else np.ascontiguousarray(matrix[:, np.arange(limit) * total // limit])


class Firsts:
    """Means of the tokens before an image's grid, each position's own, taken while calibration samples pass by."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._prefixes = {s.name: int(s.attributes.get("prefix", 0)) for s in specs if s.kind == "tokens"}
        self._specs = [s for s in specs if self._prefixes.get(s.name)]
        self._sums = {s.name: np.zeros((dimension(s), self._prefixes[s.name])) for s in self._specs}
        self._count = 0

    def watched(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            if all(len(sample[s.name]) >= self._prefixes[s.name] for s in self._specs):
                for spec in self._specs:
                    self._sums[spec.name] += to_vectors(sample[spec.name][: self._prefixes[spec.name]], spec)
                self._count += 1
            yield sample

    def means(self) -> dict[str, np.ndarray]:
        """Assets `<tensor>/first` (dimension, prefix) float32 of tensors that have such tokens."""
        return {f"{n}/first": (s / self._count).astype(np.float32) for n, s in self._sums.items() if self._count}
