"""Integer matrices under static tables: rows with equal table are coded by one call.

Rows are channels, or whatever shares a scale; a value outside its table's reach is escaped and follows at the end, at
14 bits plus about twice the bits of the excess, so that a wrong scale costs bits and never fails.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lamofc.entropy import bank, integers
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError

LIMIT = 1 << 30  # values are within -LIMIT .. LIMIT


def put(encoder: Encoder, symbols: np.ndarray, tables: np.ndarray, family: str = "laplace") -> None:
    """symbols (rows, n) int32 in -LIMIT .. LIMIT, tables (rows,) bank indices 0 .. bank.MAX_INDEX."""
    order, base, low, reach = _plan(tables, family)
    index = symbols[order] + _half(low)[:, None] if low.any() else symbols[order]
    for bits, rows in _split_rows(low):
        part = index[rows]
        encoder.put_uniform(part & ((1 << bits) - 1), 1 << bits)
        index[rows] = part >> bits
    index += reach[:, None]
    beyond = index.view(np.uint32) > (2 * reach[:, None]).astype(np.uint32)
    escaped = np.flatnonzero(beyond)
    if escaped.size:
        limits = reach[escaped // symbols.shape[1]].astype(np.int64)
        values = index.ravel()[escaped].astype(np.int64) - limits
        index.ravel()[escaped] = 2 * limits + 1
    for table, first, last in _runs(base):
        encoder.put(index[first:last], bank.table(table, family))
    if escaped.size:
        integers.put(encoder, 2 * (np.abs(values) - limits - 1) + (values < 0))


def take(decoder: Decoder, count: int, tables: np.ndarray, family: str = "laplace") -> np.ndarray:
    """Inverse of `put` -> (rows, count) int32."""
    order, base, low, reach = _plan(tables, family)
    below = [(bits, rows, decoder.take_uniform(len(rows) * count, 1 << bits)) for bits, rows in _split_rows(low)]
    blocks = [decoder.take((b - a) * count, bank.table(t, family)) for t, a, b in _runs(base)]
    values = np.concatenate([*blocks, np.empty(0, np.int32)]).reshape(len(tables), count)
    values -= reach[:, None]
    beyond = values > reach[:, None]
    escaped = np.flatnonzero(beyond)
    if escaped.size:
        limits = reach[escaped // count].astype(np.int64)
        values.ravel()[escaped] = _unescape(integers.take(decoder, escaped.size), limits)
    for bits, rows, rest in below:
        values[rows] = _join(values[rows], rest.reshape(-1, count), bits)
    out = np.empty_like(values)
    out[order] = values
    return out


def _plan(tables: np.ndarray, family: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Order that brings equal tables together, and in that order: table, raw low bits, reach."""
    base, low = bank.split(np.asarray(tables, np.int32))
    order = np.argsort(base.astype(np.uint8), kind="stable")  # bytes are sorted by radix
    return order, base[order], low[order], bank.reach(family)[base[order]]


def _runs(base: np.ndarray) -> list[tuple[int, int, int]]:
    """(table, first row, last row + 1) of each run of equal tables."""
    edges = [0, *(np.flatnonzero(np.diff(base)) + 1).tolist(), len(base)]
    return [(int(base[a]), a, b) for a, b in pairwise(edges) if b > a]


def _split_rows(low: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(number of raw low bits, rows that have so many), from few to many."""
    return [(int(k), np.flatnonzero(low == k)) for k in np.unique(low[low > 0])] if low.any() else []


def _half(low: np.ndarray) -> np.ndarray:
    """What centres the interval of 2^low values that share their high part on a multiple of it."""
    return np.where(low > 0, 1 << np.maximum(low - 1, 0), 0).astype(np.int32)


def _unescape(coded: np.ndarray, limits: np.ndarray) -> np.ndarray:
    size = (coded >> 1) + limits + 1
    if size.max() >= 2 * LIMIT:
        raise BitstreamError(f"escaped value of size {size.max()} is out of range")
    return np.where(coded & 1, -size, size)


def _join(high: np.ndarray, below: np.ndarray, low: int) -> np.ndarray:
    values = (high.astype(np.int64) << low) + below - (1 << (low - 1))
    if values.size and np.abs(values).max() >= 2 * LIMIT:
        raise BitstreamError("value with raw low bits is out of range")
    return values
