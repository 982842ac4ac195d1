"""Vectors that share a scale: tokens, or pieces of tensors that have none; and their largest absolute values."""

from __future__ import annotations

import numpy as np

from lamofc.dtypes import BFLOAT16, from_float32, to_float32
from lamofc.errors import BitstreamError
from lamofc.interfaces import TensorSpec

_TOKEN_KINDS = ("tokens", "embedding", "key", "value")
_PIECE = (256, 1024)  # values of a piece, if the tensor's size has a divisor in this range
_SMALLEST = 2.0**-100


def layout(shape: tuple[int, ...], spec: TensorSpec) -> tuple[int, int]:
    """(vectors, values of a vector)."""
    size = int(np.prod(shape, dtype=np.int64))
    if not size:
        return 0, 0
    if spec.kind in _TOKEN_KINDS:
        count = shape[1 if spec.kind in ("key", "value") else 0]
        return count, size // count
    width = next((w for w in range(_PIECE[1], _PIECE[0] - 1, -1) if size % w == 0), size)
    return size // width, width


def to_vectors(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Native dtype and natural shape -> (vectors, values) float32."""
    wide = to_float32(array)
    if spec.kind in ("key", "value"):
        wide = wide.transpose(1, 0, 2)
    return np.ascontiguousarray(wide).reshape(layout(array.shape, spec))


def from_vectors(vectors: np.ndarray, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `to_vectors`: rounded and clipped into the native dtype."""
    if spec.kind in ("key", "value"):
        vectors = vectors.reshape(shape[1], shape[0], shape[2]).transpose(1, 0, 2)
    largest = np.finfo(np.float32).max
    return from_float32(np.clip(np.ascontiguousarray(vectors), -largest, largest).reshape(shape), spec.dtype)


def scales(vectors: np.ndarray) -> tuple[np.ndarray, bytes]:
    """(vectors, values) -> largest absolute values (vectors,) as the decoder has them, and two bytes for each."""
    largest = np.abs(vectors).max(1) if vectors.size else np.empty(0, np.float32)
    coded = from_float32(np.maximum(largest, _SMALLEST).astype(np.float32), "bfloat16")
    return coded.astype(np.float32), coded.tobytes()


def write(scales: np.ndarray) -> bytes:
    """Scales that `scales` returned -> two bytes for each."""
    return scales.astype(BFLOAT16).tobytes()


def read(data: bytes, count: int) -> np.ndarray:
    """Inverse of `scales` -> (count,) float32; BitstreamError unless all are positive and finite."""
    if len(data) != 2 * count:
        raise BitstreamError(f"{len(data)} bytes do not hold {count} scales")
    values = np.frombuffer(data, BFLOAT16).astype(np.float32)
    if not ((values > 0) & np.isfinite(values)).all():
        raise BitstreamError("scale is not positive and finite")
    return values
