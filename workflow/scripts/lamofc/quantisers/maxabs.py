"""Groups of values that share a scale, their largest absolute value: tokens, or whole tensors that have none."""

from __future__ import annotations

import numpy as np

from lamofc.dtypes import BFLOAT16, from_float32, to_float32
from lamofc.errors import BitstreamError
from lamofc.interfaces import TensorSpec

_TOKEN_KINDS = ("tokens", "embedding", "key", "value")
_SMALLEST = 2.0**-100


def layout(shape: tuple[int, ...], spec: TensorSpec) -> tuple[int, int]:
    """(groups, values of a group)."""
    size = int(np.prod(shape, dtype=np.int64))
    count = shape[1 if spec.kind in ("key", "value") else 0] if spec.kind in _TOKEN_KINDS else 1
    return (count, size // count) if size else (0, 0)


def to_groups(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Native dtype and natural shape -> (groups, values) float32."""
    wide = to_float32(array)
    if spec.kind in ("key", "value"):
        wide = wide.transpose(1, 0, 2)
    return np.ascontiguousarray(wide).reshape(layout(array.shape, spec))


def from_groups(groups: np.ndarray, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `to_groups`: rounded and clipped into the native dtype."""
    if spec.kind in ("key", "value"):
        groups = groups.reshape(shape[1], shape[0], shape[2]).transpose(1, 0, 2)
    largest = np.finfo(np.float32).max
    return from_float32(np.clip(np.ascontiguousarray(groups), -largest, largest).reshape(shape), spec.dtype)


def scales(groups: np.ndarray) -> tuple[np.ndarray, bytes]:
    """(groups, values) -> largest absolute values (groups,) as the decoder has them, and two bytes for each."""
    largest = np.abs(groups).max(1) if groups.size else np.empty(0, np.float32)
    coded = from_float32(np.maximum(largest, _SMALLEST).astype(np.float32), "bfloat16")
    return coded.astype(np.float32), coded.tobytes()


def read(data: bytes, count: int) -> np.ndarray:
    """Inverse of `scales` -> (count,) float32; BitstreamError unless all are positive and finite."""
    if len(data) != 2 * count:
        raise BitstreamError(f"{len(data)} bytes do not hold {count} scales")
    values = np.frombuffer(data, BFLOAT16).astype(np.float32)
    if not ((values > 0) & np.isfinite(values)).all():
        raise BitstreamError("scale is not positive and finite")
    return values
