"""Tensors as matrices of channels by positions, the shape in which statistics and static tables work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lamofc.dtypes import from_float32, to_float32
from lamofc.interfaces import Sample, TensorSpec

COLUMNS_PER_SAMPLE = 64


def to_rows(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Native dtype and natural shape -> (channels, positions) float32, contiguous."""
    wide = to_float32(array)
    if spec.kind in ("key", "value"):
        wide = wide.transpose(0, 2, 1)
    elif spec.kind in ("tokens", "embedding"):
        wide = wide.T
    return np.ascontiguousarray(wide.reshape(spec.channels, positions(array.shape, spec)))


def to_stack(arrays: Sequence[np.ndarray], spec: TensorSpec) -> np.ndarray:
    """`to_rows` of arrays of one shape and dtype -> (arrays, channels, positions)."""
    wide = to_float32(np.stack(arrays))
    if spec.kind in ("key", "value"):
        wide = wide.transpose(0, 1, 3, 2)
    elif spec.kind in ("tokens", "embedding"):
        wide = wide.transpose(0, 2, 1)
    return np.ascontiguousarray(wide.reshape(len(wide), spec.channels, positions(arrays[0].shape, spec)))


def from_rows(rows: np.ndarray, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `to_rows`: rounded and clipped into the native dtype."""
    if spec.kind in ("key", "value"):
        rows = rows.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1)
    elif spec.kind in ("tokens", "embedding"):
        rows = rows.T
    return from_float32(np.ascontiguousarray(rows).reshape(shape), spec.dtype)


def positions(shape: tuple[int, ...], spec: TensorSpec) -> int:
    """Columns of `to_rows`: tokens, pixels or states of one channel."""
    if spec.kind in ("key", "value"):
        return shape[1]
    if spec.kind in ("tokens", "embedding"):
        return shape[0]
    return int(np.prod(shape[1:], dtype=np.int64))


def gather(specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
    """Evenly spaced columns of all samples, at most 64 of each -> per tensor (channels, columns) float32."""
    found: dict[str, list[np.ndarray]] = {s.name: [] for s in specs}
    for sample in samples:
        for spec in specs:
            rows = to_rows(sample[spec.name], spec)
            found[spec.name].append(rows[:, _spread(rows.shape[1])])
    empty = {s.name: np.empty((s.channels, 0), np.float32) for s in specs}
    return {name: np.concatenate([empty[name], *columns], 1) for name, columns in found.items()}


def _spread(count: int) -> np.ndarray:
    kept = min(count, COLUMNS_PER_SAMPLE)
    return np.arange(kept) * count // max(kept, 1)
