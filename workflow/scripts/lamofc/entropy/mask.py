"""Binary matrices at the entropy of each row's density: which values of a channel are kept."""

from __future__ import annotations

from functools import cache

import numpy as np

from lamofc.entropy import scales
from lamofc.entropy.ans import Decoder, Encoder, Table

_LEVELS = 65  # log-odds in half octaves, -16 .. 16 octaves
_TOTAL = 1 << 20
_ROW_BITS = 3.0


def put(encoder: Encoder, chosen: np.ndarray) -> None:
    """chosen (rows, n) bool. A row costs its entropy and about 3 bits for its density, unless all share one."""
    ones, count = chosen.sum(1), chosen.shape[1]
    levels = _levels(ones, count)
    if len(levels) > 1:
        shared = np.full_like(levels, _levels(ones.sum(keepdims=True), chosen.size)[0])
        if _bits(ones, count, shared) < _bits(ones, count, levels) + _ROW_BITS * len(levels):
            levels = shared
    scales.put(encoder, levels)
    order, runs = _runs(levels)
    ordered = chosen[order]
    for level, first, last in runs:
        encoder.put(ordered[first:last], _table(level))


def take(decoder: Decoder, rows: int, count: int) -> np.ndarray:
    """Inverse of `put` -> (rows, count) bool."""
    order, runs = _runs(np.minimum(scales.take(decoder, rows), _LEVELS - 1))
    ordered = np.empty((rows, count), bool)
    for level, first, last in runs:
        ordered[first:last] = decoder.take((last - first) * count, _table(level)).reshape(last - first, count)
    chosen = np.empty_like(ordered)
    chosen[order] = ordered
    return chosen


def _levels(ones: np.ndarray, count: int) -> np.ndarray:
    """Level of each row's density. int32."""
    odds = np.log2((ones + 0.25) / (count - ones + 0.25))
    return np.clip(np.rint(2 * odds) + _LEVELS // 2, 0, _LEVELS - 1).astype(np.int32)


def _bits(ones: np.ndarray, count: int, levels: np.ndarray) -> float:
    odds = np.exp2((levels - _LEVELS // 2) / 2)
    return float((np.log2(1 + odds) * count - np.log2(odds) * ones).sum())


def _runs(levels: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Order that brings equal levels together; (level, first row, last row + 1) of each in that order."""
    counts = np.bincount(levels)
    ends, used = counts.cumsum(), np.flatnonzero(counts)
    bounds = zip(used.tolist(), (ends - counts)[used].tolist(), ends[used].tolist(), strict=True)
    return levels.astype(np.uint8).argsort(kind="stable"), list(bounds)


@cache
def _table(level: int) -> Table:
    share = 1 / (1 + 2.0 ** -((level - _LEVELS // 2) / 2))
    one = min(max(round(share * _TOTAL), 1), _TOTAL - 1)
    return Table(np.array([_TOTAL - one, one]))
