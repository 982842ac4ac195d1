"""Binary matrices at the entropy of each row's density: which values of a channel are kept."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from lamofc.entropy import scales
from lamofc.entropy.ans import Decoder, Encoder, Table

_LEVELS = 65  # log-odds in half octaves, -16 .. 16 octaves
_TOTAL = 1 << 20


def put(encoder: Encoder, chosen: np.ndarray) -> None:
    """chosen (rows, n) bool. A row costs its entropy and about 3 bits for its density."""
    ones = chosen.sum(1)
    odds = np.log2((ones + 0.25) / (chosen.shape[1] - ones + 0.25))
    levels = np.clip(np.rint(2 * odds) + _LEVELS // 2, 0, _LEVELS - 1).astype(np.int32)
    scales.put(encoder, levels)
    for level, where in _groups(levels):
        encoder.put(chosen[where], _table(level))


def take(decoder: Decoder, rows: int, count: int) -> np.ndarray:
    """Inverse of `put` -> (rows, count) bool."""
    levels = np.minimum(scales.take(decoder, rows), _LEVELS - 1)
    chosen = np.zeros((rows, count), bool)
    for level, where in _groups(levels):
        chosen[where] = decoder.take(len(where) * count, _table(level)).reshape(len(where), count)
    return chosen


def _groups(levels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for level in np.unique(levels).tolist():
        yield level, np.flatnonzero(levels == level)


@cache
def _table(level: int) -> Table:
    share = 1 / (1 + 2.0 ** -((level - _LEVELS // 2) / 2))
    one = min(max(round(share * _TOTAL), 1), _TOTAL - 1)
    return Table(np.array([_TOTAL - one, one]))
