"""Rare non-negative integers of unknown size: bit length under a geometric table, then the bits below the first."""

from __future__ import annotations

import numpy as np

from lamofc.entropy.ans import Decoder, Encoder, Table

_CLASSES = 32
_CLASS_TABLE = Table(np.rint(0.75 ** np.arange(_CLASSES) * 2**18))


def put(encoder: Encoder, values: np.ndarray) -> None:
    """Integers 0 .. 2^32 - 2, any shape; about 2 log2(v + 1) bits or less for small ones."""
    if not np.size(values):
        return
    shifted = np.asarray(values, np.int64).ravel() + 1
    classes = np.frexp(shifted.astype(np.float64))[1] - 1
    encoder.put(classes, _CLASS_TABLE)
    for k in np.unique(classes[classes > 0]).tolist() if classes.any() else ():
        encoder.put_uniform(shifted[classes == k] - (1 << k), 1 << k)


def put_one(encoder: Encoder, value: int) -> None:
    """`put` of a single integer."""
    size = (value + 1).bit_length() - 1
    encoder.put(np.array([size], np.int32), _CLASS_TABLE)
    if size:
        encoder.put_uniform(value + 1 - (1 << size), 1 << size)


def take(decoder: Decoder, count: int) -> np.ndarray:
    """-> (count,) int64."""
    if not count:
        return np.empty(0, np.int64)
    classes = decoder.take(count, _CLASS_TABLE)
    shifted = np.ones(count, np.int64) << classes.astype(np.int64)
    for k in np.unique(classes[classes > 0]).tolist() if classes.any() else ():
        chosen = classes == k
        shifted[chosen] += decoder.take_uniform(int(chosen.sum()), 1 << k)
    return shifted - 1


def zigzag(values: np.ndarray) -> np.ndarray:
    """Signed -> non-negative: 0 -1 1 -2 2 -> 0 1 2 3 4. int64."""
    values = np.asarray(values, np.int64)
    return np.where(values < 0, -2 * values - 1, 2 * values)


def unzigzag(values: np.ndarray) -> np.ndarray:
    """Inverse of `zigzag`. int64."""
    return np.where(values & 1, -((values + 1) >> 1), values >> 1)
