"""Integer matrices under static tables: rows with equal table are coded by one call.

Rows are channels, or whatever shares a scale, down to single values; a value outside its table's reach is escaped and
follows at the end, at 14 bits plus about twice those of the excess, so that a wrong scale costs bits and never fails.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np

from lamofc.entropy import bank, integers
from lamofc.entropy.ans import Decoder, Encoder, Table
from lamofc.errors import BitstreamError

LIMIT = 1 << 30  # values are within -LIMIT .. LIMIT
_BASE, _LOW = (a.tolist() for a in bank.split(np.arange(bank.MAX_INDEX + 1)))


def put(encoder: Encoder, symbols: np.ndarray, tables: np.ndarray, family: str = "laplace") -> None:
    """symbols (rows, n) int32 in -LIMIT .. LIMIT, tables (rows,) bank indices 0 .. bank.MAX_INDEX."""
    put_all([encoder], symbols[None], np.asarray(tables)[None], family)


def put_all(encoders: Sequence[Encoder], symbols: np.ndarray, tables: np.ndarray, family: str = "laplace") -> None:
    """`put` of matrices (encoders, rows, n) with tables (encoders, rows) in the same calls."""
    if not symbols.size:
        return
    if tables.shape[1] == 1:
        put_single(encoders, symbols[:, 0], tables[:, 0], family)
        return
    order, runs = _plan(tables)
    rows, count = symbols.shape[1:]
    index = np.ascontiguousarray(symbols, np.int32).reshape(-1, count).take(order, 0)
    for table, first, last in runs:
        if _LOW[table]:
            index[first:last] = _put_low(encoders[first // rows], index[first:last], _LOW[table])
    limits = _limits(runs, family)
    index += limits
    beyond = index.view(np.uint32) > 2 * limits.view(np.uint32)
    escaped = np.flatnonzero(beyond) if beyond.any() else ()
    if len(escaped):
        bounds = limits.ravel()[escaped // count].astype(np.int64)
        values = index.ravel()[escaped] - bounds
        index.ravel()[escaped] = 2 * bounds + 1
    flat, at = index.ravel(), 0
    for i, encoder in enumerate(encoders):
        first, end = at, (i + 1) * rows
        at = bisect_left(runs, end, lo=first, key=itemgetter(1)) if i + 1 < len(encoders) else len(runs)
        encoder.put_runs(flat, [(a * count, b * count, _table(t, family)) for t, a, b in runs[first:at]])
    if len(escaped):
        _put_escapes(encoders, escaped // (rows * count), 2 * (np.abs(values) - bounds - 1) + (values < 0))


def _put_escapes(encoders: Sequence[Encoder], owners: np.ndarray, coded: np.ndarray) -> None:
    """owners (n,), ascending: the encoder of each escaped value."""
    for owner in np.unique(owners).tolist() if len(encoders) > 1 else [0]:
        a, b = np.searchsorted(owners, (owner, owner + 1))
        integers.put(encoders[owner], coded[a:b])


class Plan:
    """Single values under one table each, coded as `put` codes them: by group, in a group by table, then in order.

    order: which values, sorted so; keys: of each run of equal tables in it, 256 times the group plus the bank index;
    bounds: where the runs begin, and the number of values. Found once for all groups, since the encoder knows all.
    """

    def __init__(self, order: np.ndarray, keys: np.ndarray, bounds: np.ndarray) -> None:
        tables = (keys & 255).tolist()
        self.order = order
        self.runs = list(
            zip((keys >> 8).tolist(), tables, *(e.tolist() for e in (bounds[:-1], bounds[1:])), strict=True)
        )
        self.limits = np.repeat(bounds_of(tables), np.diff(bounds))

    @classmethod
    def of(cls, tables: np.ndarray, edges: np.ndarray) -> Plan:
        """tables (n,) bank indices; edges: first value of every group, and n."""
        keys = tables.astype(np.uint8)  # sorts in half the time of two bytes
        if len(edges) > 2:
            keys = keys + np.repeat(np.arange(len(edges) - 1, dtype=np.uint16) << np.uint16(8), np.diff(edges))
        order = keys.argsort(kind="stable")
        ordered = keys.take(order)
        starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
        return cls(order, ordered.take(starts), np.append(starts, len(ordered)))

    def put(self, encoder: Encoder, symbols: np.ndarray) -> None:
        """symbols (n,) int32 in -LIMIT .. LIMIT."""
        index = symbols.take(self.order)
        below = {}
        for _, table, first, last in self.runs:
            if low := _LOW[table]:
                values = index[first:last] + np.int32(1 << (low - 1))
                below[first], index[first:last] = values & ((1 << low) - 1), values >> low
        index += self.limits
        beyond = index.view(np.uint32) > 2 * self.limits.view(np.uint32)
        escaped = np.flatnonzero(beyond)
        bounds = self.limits[escaped].astype(np.int64)
        values = index[escaped] - bounds
        index[escaped] = 2 * bounds + 1
        coded = 2 * (np.abs(values) - bounds - 1) + (values < 0)
        for runs in self._groups():
            for _, table, first, _ in runs:
                if first in below:
                    encoder.put_uniform(below[first], 1 << _LOW[table])
            encoder.put_runs(index, [(first, last, _table(table, "laplace")) for _, table, first, last in runs])
            if len(escaped):
                a, b = np.searchsorted(escaped, (runs[0][2], runs[-1][3]))
                if b > a:
                    integers.put(encoder, coded[a:b])

    def take(self, decoder: Decoder, out: np.ndarray) -> None:
        """Inverse of `put` for a single group, into their places of out (n,) int32."""
        below = [(t, a, b, decoder.take_uniform(b - a, 1 << _LOW[t])) for _, t, a, b in self.runs if _LOW[t]]
        values = np.empty(len(self.order), np.int32)
        for _, table, first, last in self.runs:
            values[first:last] = decoder.take(last - first, bank.table(_BASE[table]))
        values -= self.limits
        _finish(decoder, values[:, None], self.limits[:, None], below)
        out[self.order] = values

    def _groups(self) -> list[list[tuple[int, int, int, int]]]:
        return [list(g) for _, g in groupby(self.runs, itemgetter(0))]


class Sorted:
    """Plans for packets that hold the first rows of matrices whose tables never change: they are sorted once.

    A run is what has equal tables in one matrix; in it, values stand by rank, so that packets hold the first of each.
    """

    def __init__(self, tables: np.ndarray, owner: np.ndarray, rank: np.ndarray) -> None:
        """tables (rows, n) bank indices; owner, rank (rows,): matrix of each row, ascending, and place in it."""
        keys, row = tables.astype(np.uint8).ravel(), np.repeat(np.arange(len(tables)), tables.shape[1])
        self.order = keys.argsort(kind="stable")
        row, keys = row.take(self.order), keys.take(self.order)
        new = (keys[1:] != keys[:-1]) | (np.diff(owner[row]) != 0)
        self.starts = np.flatnonzero(np.append(True, new)[: len(keys)])
        self.keys, self.owners = keys.take(self.starts), owner[row].take(self.starts)
        self.stride = len(tables) + 1
        runs = np.repeat(np.arange(len(self.starts)), np.diff(np.append(self.starts, len(keys))))
        self.ranks = runs * self.stride + rank[row]  # ascending

    def plan(self, used: np.ndarray) -> Plan:
        """used: rows of each matrix -> plan of their values, by their places among all."""
        wanted = np.arange(len(self.starts)) * self.stride + used[self.owners]
        ends = self.ranks.searchsorted(wanted)
        present = np.flatnonzero(ends > self.starts)
        spans = list(zip(self.starts[present].tolist(), ends[present].tolist(), strict=True))
        order = np.concatenate([self.order[:0], *(self.order[a:b] for a, b in spans)])
        keys, counts = self.keys[present], (ends - self.starts)[present]
        first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
        return Plan(order, keys[first], np.append((np.cumsum(counts) - counts)[first], len(order)))


def bounds_of(tables: list[int]) -> np.ndarray:
    """Reach of each table, int32."""
    return _reach("laplace")[tables]


def take(decoder: Decoder, count: int, tables: np.ndarray, family: str = "laplace") -> np.ndarray:
    """Inverse of `put` -> (rows, count) int32."""
    if not count * len(tables):
        return np.empty((len(tables), count), np.int32)
    if len(tables) == 1:
        return _take_one(decoder, count, int(tables[0]), family)
    order, runs = _plan(tables)
    below = [(t, a, b, decoder.take_uniform((b - a) * count, 1 << _LOW[t])) for t, a, b in runs if _LOW[t]]
    values = np.empty((len(order), count), np.int32)
    decoder.take_runs(values.ravel(), [(a * count, b * count, _table(t, family)) for t, a, b in runs])
    limits = _limits(runs, family)
    values -= limits
    _finish(decoder, values, limits, below)
    out = np.empty_like(values)
    out[order] = values
    return out


def _finish(decoder: Decoder, values: np.ndarray, limits: np.ndarray, below: list[tuple]) -> None:
    """Escapes and low bits of `values` (rows, n), in place; limits (rows, 1); below: table, rows from and to, bits."""
    beyond = values > limits
    if beyond.any():
        escaped = np.flatnonzero(beyond)
        bounds = limits.ravel()[escaped // values.shape[1]].astype(np.int64)
        values.ravel()[escaped] = _unescape(integers.take(decoder, escaped.size), bounds)
    for table, first, last, rest in below:
        values[first:last] = _join(values[first:last], rest.reshape(-1, values.shape[1]), _LOW[table])


def put_single(encoders: Sequence[Encoder], rows: np.ndarray, tables: np.ndarray, family: str = "laplace") -> None:
    """`put` of single rows (encoders, n) with tables (encoders,), of which short tensors have many."""
    rows, indices = np.ascontiguousarray(rows, np.int32), tables.tolist()
    if max(indices) >= bank.SIZE:
        pairs = zip(encoders, rows, indices, strict=True)
        rows = np.stack([_put_low(e, r, _LOW[t]) if _LOW[t] else r for e, r, t in pairs])
    limits = _reach(family).take(tables)
    index = rows + limits[:, None]
    beyond = index.view(np.uint32) > 2 * limits.view(np.uint32)[:, None]
    escaped = beyond.any(1).tolist()
    for i, (encoder, table) in enumerate(zip(encoders, indices, strict=True)):
        if escaped[i]:
            limit = int(limits[i])
            values = rows[i, beyond[i]].astype(np.int64)
            index[i, beyond[i]] = 2 * limit + 1
        encoder.put(index[i], bank.table(_BASE[table], family))
        if escaped[i]:
            integers.put(encoder, 2 * (np.abs(values) - limit - 1) + (values < 0))


def _take_one(decoder: Decoder, count: int, table: int, family: str) -> np.ndarray:
    """Inverse of `_put_one` -> (1, count) int32."""
    low, limit = _LOW[table], int(_reach(family)[table])
    below = decoder.take_uniform(count, 1 << low) if low else None
    values = decoder.take(count, bank.table(_BASE[table], family)) - np.int32(limit)
    beyond = values > limit
    if beyond.any():
        escaped = np.flatnonzero(beyond)
        bounds = np.full(escaped.size, limit, np.int64)
        values[escaped] = _unescape(integers.take(decoder, escaped.size), bounds)
    if below is not None:
        values = _join(values, below, low).astype(np.int32)
    return values[None]


def _plan(tables: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """(rows,) or (matrices, rows) -> order of all rows that brings equal tables of a matrix together; (table, first
    row, last row + 1) of each run in that order."""
    narrow = np.asarray(tables).astype(np.uint8, copy=False)
    order = narrow.argsort(-1, kind="stable")
    height = narrow.shape[-1]
    if narrow.ndim > 1 and len(narrow) > 1:
        order += height * np.arange(len(narrow))[:, None]
    order = order.ravel()
    ordered = narrow.ravel().take(order)
    changes = ordered[1:] != ordered[:-1]
    changes[height - 1 :: height] = True
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(ordered)]
    return order, [(t, *ends) for t, ends in zip(ordered[edges[:-1]].tolist(), pairwise(edges), strict=True)]


@cache
def _table(index: int, family: str) -> Table:
    return bank.table(_BASE[index], family)


def _limits(runs: list[tuple[int, int, int]], family: str) -> np.ndarray:
    """(rows, 1) int32: reach of each row's table, in the order of the runs."""
    reach = _reach(family)
    return np.repeat(reach[[t for t, _, _ in runs]], [b - a for _, a, b in runs])[:, None]


@cache
def _reach(family: str) -> np.ndarray:
    """Reach of every index's table, int32."""
    return bank.reach(family)[_BASE]


def _put_low(encoder: Encoder, values: np.ndarray, low: int) -> np.ndarray:
    """Send the low bits; what remains stands for intervals centred on multiples of 2^low."""
    values = values + np.int32(1 << (low - 1))
    encoder.put_uniform(values & ((1 << low) - 1), 1 << low)
    return values >> low


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
