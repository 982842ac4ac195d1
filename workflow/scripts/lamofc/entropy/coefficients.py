"""Transform coefficients under calibrated tables, corrected by what is decoded already.

Components are coded in groups of falling variance. Where the groups before were larger or smaller than their tables
foretold, at the same position and next to it, the tables of the next group move by quarter octaves. All arithmetic on
the way to a table is on integers, so that every machine finds the same one. Matrices of several tensors are coded
together, group k of all of them before group k + 1 of any: they know nothing of each other, but share every call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from lamofc.entropy import bank, fitting, grouped
from lamofc.entropy.ans import Decoder, Encoder

_PRIOR = 4  # expected size, in steps, that counts as much as what was seen
_SLOPE = 0.75  # octaves that tables move per octave of what was seen over what was expected
_UNIT = 256  # expected sizes are in 1/256
_REACH = 12  # quarter octaves that a table may move
_FRACTION = 14
_CAP = 1 << 16
_FIRST_GROUP = 2
_PRIOR_UNITS = 4 * _PRIOR * _UNIT


class Layout:
    """What both sides know of matrices of symbols before any of them: made once for all packets of a size.

    known: per matrix (dimension, count) the bank index of each symbol, equal counts.
    near: how many first columns stand apart, then rows and columns of the blocks in which the others have neighbours.
    contexts: whether tables move at all.
    A segment is the rows of one group of one matrix; `known` and what goes with it is in coding order.
    """

    def __init__(
        self, known: Sequence[np.ndarray], near: tuple[int, int, int] = (0, 1, 1), contexts: bool = True
    ) -> None:
        self.heights, self.count = [len(k) for k in known], known[0].shape[1]
        self.near, self.contexts = near, contexts
        self.choices = [1 << n.bit_length() for n in self.heights]  # bound of the number of rows that hold anything
        self.starts = np.cumsum([0, *self.heights])
        loudest = [np.argsort(-k.sum(1, dtype=np.int64), kind="stable") for k in known]
        groups = np.concatenate([_groups(n) if contexts else np.zeros(n, np.int64) for n in self.heights])
        owners, ranks = (
            np.concatenate(a) for a in zip(*(_ranks(t, n) for t, n in enumerate(self.heights)), strict=True)
        )
        order = groups.argsort(kind="stable")
        self.source = np.concatenate([o + s for o, s in zip(loudest, self.starts, strict=False)])[order]
        self.owner, self.rank, groups = owners[order], ranks[order], groups[order]
        self.known = np.concatenate(known).astype(np.int16).take(self.source, 0)
        new = np.append(True, (np.diff(groups) != 0) | (np.diff(self.owner) != 0))[: len(groups)]
        self.segment, first = np.cumsum(new) - 1, np.flatnonzero(new)
        self.groups, self.owners = groups[first], self.owner[first]  # of each segment
        self.expected = self._foretold(first) if contexts and first.size else np.empty((0, self.count))
        self.sorted = None if contexts else grouped.Sorted(self.known, self.owner, self.rank)

    def _foretold(self, first: np.ndarray) -> np.ndarray:
        """(segments, count) int64: expected sizes of the rows before, neighbours included, and the prior."""
        sizes = np.add.reduceat(_expected()[self.known], first, 0)
        return self.blurred(self.before(sizes, np.arange(len(first)))) + _PRIOR_UNITS

    def before(self, sums: np.ndarray, segments: np.ndarray) -> np.ndarray:
        """Sums (segments, count) -> those of all earlier segments of the same matrix."""
        each = np.zeros((self.groups[-1] + 1, len(self.heights), self.count), np.int64)
        where = self.groups[segments], self.owners[segments]
        each[where] = sums
        return (np.cumsum(each, 0) - each)[where]

    def blurred(self, values: np.ndarray) -> np.ndarray:
        """(n, count): four times a column and once each of its neighbours, in the block that holds them."""
        apart, rows, columns = self.near
        out = 4 * values
        body, size = values[:, apart:], rows * columns
        whole = body.shape[1] // size * size if size > 1 else body.shape[1]
        block = (len(body), -1, rows, columns) if size > 1 else (len(body), 1, 1, whole)
        if not body[:, :whole].size:
            return out
        cube, inner = body[:, :whole].reshape(block), out[:, apart : apart + whole]
        sums = np.zeros(cube.shape, values.dtype)
        if rows > 1:
            sums[..., :-1, :] += cube[..., 1:, :]
            sums[..., 1:, :] += cube[..., :-1, :]
        if cube.shape[3] > 1:
            sums[..., :-1] += cube[..., 1:]
            sums[..., 1:] += cube[..., :-1]
        inner += sums.reshape(inner.shape)
        return out

    def shifts(self, seen: np.ndarray, segments: np.ndarray | slice) -> np.ndarray:
        """(segments, count) int16: by how many indices the tables move where that much was seen before."""
        ratio = self.blurred(seen)
        ratio += _PRIOR_UNITS
        ratio <<= _FRACTION
        ratio //= self.expected[segments]
        return (_thresholds().searchsorted(ratio, side="right") - _REACH).astype(np.int16)

    def moved(self, rows: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """Bank indices of rows, in place of their calibrated ones."""
        rows += shifts
        return np.minimum(np.maximum(rows, 0, out=rows), bank.MAX_INDEX, out=rows)


class _Rows:
    """The rows of a packet that hold anything, in coding order: `used` of each matrix."""

    def __init__(self, layout: Layout, used: np.ndarray) -> None:
        kept = np.flatnonzero(layout.rank < used[layout.owner])
        self.source, self.known = layout.source[kept], layout.known.take(kept, 0)
        self.sizes = np.bincount(layout.segment[kept], minlength=len(layout.groups))
        self.segments = np.flatnonzero(self.sizes)
        self.sizes = self.sizes[self.segments]
        self.first = np.cumsum(self.sizes) - self.sizes
        groups = layout.groups[self.segments]
        self.group_starts = np.flatnonzero(np.append(True, np.diff(groups) != 0)[: groups.size])  # among `segments`

    def groups(self) -> Iterator[tuple[slice, slice]]:
        """Segments, as places in `segments`, and rows of each group."""
        edges = [*self.first.tolist(), len(self.source)]
        for a, b in pairwise([*self.group_starts.tolist(), len(self.segments)]):
            yield slice(a, b), slice(edges[a], edges[b])


def put(encoder: Encoder, symbols: Sequence[np.ndarray], layout: Layout) -> None:
    """symbols int32, a matrix for each of the layout."""
    joined = np.concatenate(symbols) if len(symbols) > 1 else symbols[0]
    used = _used(joined, layout)
    for n, choices in zip(used.tolist(), layout.choices, strict=True):
        encoder.put_uniform(n, choices)
    if layout.sorted:
        plan = layout.sorted.plan(used)
        plan.put(encoder, joined.take(layout.source, 0).ravel())
        return
    rows = _Rows(layout, used)
    if not rows.source.size or not layout.count:
        return
    ordered = joined.take(rows.source, 0)
    edges = np.append(rows.first[rows.group_starts], len(ordered)) * layout.count
    grouped.Plan.of(_tables(ordered, rows, layout).ravel(), edges).put(encoder, ordered.ravel())


def _used(symbols: np.ndarray, layout: Layout) -> np.ndarray:
    """Per matrix: rows, in coding order, up to the last that holds anything but zeros."""
    filled = np.flatnonzero(symbols.any(1)[layout.source])
    used = np.zeros(len(layout.heights), np.int64)
    np.maximum.at(used, layout.owner[filled], layout.rank[filled] + 1)
    return used


def _tables(ordered: np.ndarray, rows: _Rows, layout: Layout) -> np.ndarray:
    """Bank indices of all rows: what the decoder finds group by group."""
    sums = _UNIT * np.add.reduceat(np.minimum(np.abs(ordered), _CAP), rows.first, 0, np.int64)
    shifts = layout.shifts(layout.before(sums, rows.segments), rows.segments)
    return layout.moved(rows.known, np.repeat(shifts, rows.sizes, 0))


def take(decoder: Decoder, layout: Layout) -> list[np.ndarray]:
    """Inverse of `put` -> int32 matrices."""
    used = np.array([decoder.take_one(n) for n in layout.choices])
    out = np.zeros((layout.starts[-1], layout.count), np.int32)
    if layout.sorted:
        ordered = np.zeros_like(out)
        layout.sorted.plan(used).take(decoder, ordered.ravel())
        out[layout.source] = ordered
    elif layout.count:
        _take_groups(decoder, layout, _Rows(layout, used), out)
    return np.split(out, layout.starts[1:-1])


def _take_groups(decoder: Decoder, layout: Layout, rows: _Rows, out: np.ndarray) -> None:
    """Rows into their places of out, each group under the tables that those before it choose."""
    seen = np.zeros((len(layout.heights), layout.count), np.int64)
    for segments, part in rows.groups():
        numbers = rows.segments[segments]
        owners = layout.owners[numbers]
        shifts = np.repeat(layout.shifts(seen[owners], numbers), rows.sizes[segments], 0)
        tables = layout.moved(rows.known[part], shifts)
        out[rows.source[part]] = found = grouped.take(decoder, 1, tables.ravel()).reshape(tables.shape)
        sizes = np.minimum(np.abs(found), _CAP)
        seen[owners] += _UNIT * np.add.reduceat(sizes, rows.first[segments] - part.start, 0, np.int64)


class Ceiling:
    """Code lengths of a matrix under tables that do not move, a little above the true ones; escapes count in full."""

    def __init__(self, known: np.ndarray) -> None:
        zero, first, each = fitting.prices(np.arange(bank.MAX_INDEX + 1))
        self.rows = np.maximum(zero, first)[known].sum(1, dtype=np.float64)
        self.each = each[known]

    def bits(self, symbols: np.ndarray) -> float:
        """Of symbols int32, rows of zeros left out."""
        rows = np.flatnonzero(symbols.any(1))
        if len(rows) == len(symbols):
            rows = slice(None)
        sizes = np.abs(symbols[rows]).astype(np.float32)
        return float(self.rows[rows].sum() + np.vdot(self.each[rows], sizes))


def _groups(count: int) -> np.ndarray:
    """Group of each of so many rows."""
    edges, step = [0], _FIRST_GROUP
    while edges[-1] < count:
        edges.append(min(count, edges[-1] + step))
        step = max(step, edges[-1] // 3)
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))


def _ranks(owner: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(count, owner), np.arange(count)


@lru_cache(maxsize=1)
def _expected() -> np.ndarray:
    """Expected size under every bank index, in 1/256, int64."""
    base, low = bank.split(np.arange(bank.MAX_INDEX + 1))
    sizes = [_mean_size(int(t)) for t in base]
    return np.rint(_UNIT * np.array(sizes) * np.exp2(np.minimum(low, 20))).astype(np.int64)


def _mean_size(table: int) -> float:
    ratio = np.exp(-np.sqrt(2) / float(bank.sigma(table)))
    return float(np.sqrt(ratio) / (1 - ratio))


@lru_cache(maxsize=1)
def _thresholds() -> np.ndarray:
    """Ratios in 2^-14 from which a table moves by -REACH + 1, ..., REACH."""
    moves = np.arange(-_REACH, _REACH) + 0.5
    return np.rint(2.0 ** (moves / (bank.PER_OCTAVE * _SLOPE) + _FRACTION)).astype(np.int64)
