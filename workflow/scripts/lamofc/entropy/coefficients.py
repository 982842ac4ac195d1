"""Transform coefficients under calibrated tables, corrected by what is decoded already.

Components are coded in groups of falling variance. Where the groups before were larger or smaller than their tables
foretold, at the same position and next to it, the tables of the next group move by quarter octaves. All arithmetic on
the way to a table is on integers, so that every machine finds the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
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
_ALL = slice(None)
_SIDES = {1: ((_ALL, slice(None, -1), _ALL), (_ALL, slice(1, None), _ALL)),
          2: ((_ALL, _ALL, slice(None, -1)), (_ALL, _ALL, slice(1, None)))}  # fmt: skip


class Layout:
    """What both sides know of a matrix of symbols before any of them: made once for all packets of a size.

    known: (dimension, count) bank index of each symbol.
    near: how many first columns stand apart, then rows and columns of the blocks in which the others have neighbours.
    contexts: whether tables move at all.
    """

    def __init__(self, known: np.ndarray, near: tuple[int, int, int] = (0, 1, 1), contexts: bool = True) -> None:
        self.shape, self.near, self.contexts = known.shape, near, contexts
        self.order = np.argsort(-known.sum(1, dtype=np.int64), kind="stable")
        self.known = np.ascontiguousarray(known[self.order], np.int32)
        self.choices = 1 << len(known).bit_length()  # bound of the number of rows that hold anything
        self.edges = self._edges()
        self.expected = self._foretold() if contexts else []

    def used(self, symbols: np.ndarray) -> int:
        """Rows, in coding order, up to the last that holds anything but zeros."""
        filled = np.flatnonzero(symbols.any(1)[self.order])
        return int(filled[-1]) + 1 if filled.size else 0

    def groups(self, used: int) -> Iterator[tuple[int, slice]]:
        """The first `used` rows in coding order, in groups that share what is known before them; their numbers."""
        if self.contexts:
            for k, (a, b) in enumerate(pairwise(self.edges)):
                if a < used:
                    yield k, slice(a, min(b, used))
        elif used:
            yield 0, slice(0, used)

    def _edges(self) -> list[int]:
        edges, step = [0], _FIRST_GROUP
        while edges[-1] < len(self.known):
            edges.append(min(len(self.known), edges[-1] + step))
            step = max(step, edges[-1] // 3)
        return edges

    def _foretold(self) -> list[np.ndarray]:
        """Expected sizes of all rows before each group, neighbours included, and the prior."""
        out, total = [], np.zeros(self.shape[1], np.int64)
        for a, b in pairwise(self.edges):
            out.append(self.blurred(total) + _PRIOR_UNITS)
            total += _expected()[self.known[a:b]].sum(0)
        return out

    def blurred(self, values: np.ndarray) -> np.ndarray:
        """Four times a column and once each of its neighbours, in the block that holds them."""
        apart, rows, columns = self.near
        out = 4 * values
        body, size = values[apart:], rows * columns
        whole = len(body) // size * size if size > 1 else len(body)
        cube = body[:whole].reshape(-1, rows, columns) if size > 1 else body.reshape(1, 1, -1)
        sums = out[apart : apart + whole].reshape(cube.shape)
        for axis in (1, 2):
            if cube.shape[axis] > 1:
                low, high = _SIDES[axis]
                sums[low] += cube[high]
                sums[high] += cube[low]
        return out


class _State:
    """What encoder and decoder have seen after each group."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.seen = layout, np.zeros(layout.shape[1], np.int64)

    def tables(self, group: int, rows: slice) -> np.ndarray:
        """(rows, count) bank indices of a group."""
        known = self.layout.known[rows]
        if not self.layout.contexts:
            return known
        seen = self.layout.blurred(self.seen)
        seen += _PRIOR_UNITS
        ratio = (seen << _FRACTION) // self.layout.expected[group]
        moved = known + (_thresholds().searchsorted(ratio, side="right") - _REACH).astype(np.int32)
        return np.minimum(np.maximum(moved, 0, out=moved), bank.MAX_INDEX, out=moved)

    def add(self, part: np.ndarray) -> None:
        if self.layout.contexts:
            self.seen += _UNIT * np.minimum(np.abs(part), _CAP).sum(0, dtype=np.int64)


def put(encoder: Encoder, symbols: np.ndarray, layout: Layout) -> None:
    """symbols int32, shape of the layout."""
    used = layout.used(symbols)
    encoder.put_uniform(used, layout.choices)
    if not used or not layout.shape[1]:
        return
    ordered = symbols[layout.order[:used]]
    firsts = [rows.start for _, rows in layout.groups(used)]
    plan = grouped.Plan(_tables(ordered, firsts, layout).ravel(), np.array([*firsts, used]) * layout.shape[1])
    plan.put(encoder, ordered.ravel())


def _tables(ordered: np.ndarray, firsts: list[int], layout: Layout) -> np.ndarray:
    """Bank indices of all rows in coding order: what `_State.tables` gives group by group."""
    known = layout.known[: len(ordered)]
    if not layout.contexts:
        return known
    sums = np.add.reduceat(np.minimum(np.abs(ordered), _CAP), firsts, 0, np.int64)
    seen = np.cumsum(sums, 0) - sums
    seen *= _UNIT
    seen = np.stack([layout.blurred(s) for s in seen]) + _PRIOR_UNITS
    ratio = (seen << _FRACTION) // np.stack(layout.expected[: len(firsts)])
    shifts = (_thresholds().searchsorted(ratio, side="right") - _REACH).astype(np.int32)
    moved = known + np.repeat(shifts, np.diff([*firsts, len(ordered)]), 0)
    return np.minimum(np.maximum(moved, 0, out=moved), bank.MAX_INDEX, out=moved)


def take(decoder: Decoder, layout: Layout) -> np.ndarray:
    """Inverse of `put` -> int32, shape of the layout."""
    out, state = np.zeros(layout.shape, np.int32), _State(layout)
    for group, rows in layout.groups(min(decoder.take_one(layout.choices), len(out))):
        tables = state.tables(group, rows)
        out[layout.order[rows]] = part = grouped.take(decoder, 1, tables.ravel()).reshape(tables.shape)
        state.add(part)
    return out


def bits(symbols: np.ndarray, layout: Layout) -> float:
    """Ideal code length of `put`, by which the loss of the coder is measured."""
    state, total = _State(layout), np.log2(len(symbols) + 1)
    zero, first, each = fitting.prices(np.arange(bank.MAX_INDEX + 1))
    for group, rows in layout.groups(layout.used(symbols)):
        part, tables = symbols[layout.order[rows]], state.tables(group, rows)
        sizes = np.abs(part)
        total += float(np.where(sizes == 0, zero[tables], first[tables] + each[tables] * sizes).sum(dtype=np.float64))
        state.add(part)
    return total


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
