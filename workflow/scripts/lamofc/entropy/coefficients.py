"""Transform coefficients under calibrated tables, corrected by what is decoded already.

Components are coded in groups of falling variance. Where the groups before were larger or smaller than their tables
foretold, at the same position and next to it, the tables of the next group move by quarter octaves. All arithmetic on
the way to a table is on integers, so that every machine finds the same one.
"""

from __future__ import annotations

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


def put(
    encoder: Encoder,
    symbols: np.ndarray,
    known: np.ndarray,
    near: tuple[int, int, int] = (0, 1, 1),
    contexts: bool = True,
) -> None:
    """symbols (dimension, count) int32; known: bank index of each of them, which the decoder has.

    near: how many first columns stand apart, then rows and columns of the blocks in which the others have neighbours.
    contexts: whether tables move at all.
    """
    state = _State(known, near, contexts)
    used = state.used(symbols)
    encoder.put_uniform(used, state.choices)
    for chosen in state.groups(used):
        part = symbols[chosen]
        grouped.put(encoder, part.reshape(-1, 1), state.tables(chosen).ravel())
        state.add(chosen, part)


def take(
    decoder: Decoder, known: np.ndarray, near: tuple[int, int, int] = (0, 1, 1), contexts: bool = True
) -> np.ndarray:
    """Inverse of `put` -> int32, shape of `known`."""
    out = np.zeros(known.shape, np.int32)
    state = _State(known, near, contexts)
    for chosen in state.groups(min(decoder.take_one(state.choices), len(known))):
        tables = state.tables(chosen)
        out[chosen] = part = grouped.take(decoder, 1, tables.ravel()).reshape(tables.shape)
        state.add(chosen, part)
    return out


def bits(symbols: np.ndarray, known: np.ndarray, near: tuple[int, int, int], contexts: bool) -> float:
    """Ideal code length of `put`, by which the loss of the coder is measured."""
    state, total = _State(known, near, contexts), np.log2(len(known) + 1)
    zero, first, each = fitting.prices(np.arange(bank.MAX_INDEX + 1))
    for chosen in state.groups(state.used(symbols)):
        part, tables = symbols[chosen], state.tables(chosen)
        sizes = np.abs(part)
        total += float(np.where(sizes == 0, zero[tables], first[tables] + each[tables] * sizes).sum(dtype=np.float64))
        state.add(chosen, part)
    return total


class _State:
    """What encoder and decoder know after each group."""

    def __init__(self, known: np.ndarray, near: tuple[int, int, int], contexts: bool) -> None:
        self.known, self.near, self.contexts = known, near, contexts
        self.order = np.argsort(-known.sum(1, dtype=np.int64), kind="stable")
        self.seen = np.zeros(known.shape[1], np.int64)
        self.expected = np.zeros(known.shape[1], np.int64)

    @property
    def choices(self) -> int:
        """Bound of the number of rows that hold anything, as `put_uniform` takes it."""
        return 1 << len(self.known).bit_length()

    def used(self, symbols: np.ndarray) -> int:
        """Rows, in coding order, up to the last that holds anything but zeros."""
        filled = np.flatnonzero(symbols.any(1)[self.order])
        return int(filled[-1]) + 1 if filled.size else 0

    def groups(self, used: int) -> list[np.ndarray]:
        """The first `used` rows in coding order, in groups that share what is known before them."""
        edges, step = [0], (_FIRST_GROUP if self.contexts else max(used, 1))
        while edges[-1] < used:
            edges.append(min(used, edges[-1] + step))
            step = max(step, edges[-1] // 3)
        return [self.order[a:b] for a, b in pairwise(edges)]

    def tables(self, chosen: np.ndarray) -> np.ndarray:
        if not self.contexts:
            return self.known[chosen]
        prior = 4 * _PRIOR * _UNIT
        ratio = ((self._blurred(self.seen) + prior) << _FRACTION) // (self._blurred(self.expected) + prior)
        moved = np.searchsorted(_thresholds(), ratio, side="right") - _REACH
        return np.clip(self.known[chosen] + moved, 0, bank.MAX_INDEX).astype(np.int32)

    def add(self, chosen: np.ndarray, part: np.ndarray) -> None:
        if self.contexts:
            self.seen += _UNIT * np.minimum(np.abs(part), _CAP).sum(0, dtype=np.int64)
            self.expected += _expected()[self.known[chosen]].sum(0)

    def _blurred(self, values: np.ndarray) -> np.ndarray:
        """Four times a column and once each of its neighbours, in the block that holds them."""
        apart, rows, columns = self.near
        out = 4 * values
        body, size = values[apart:], rows * columns
        whole = len(body) // size * size if size > 1 else len(body)
        cube = body[:whole].reshape(-1, rows, columns) if size > 1 else body.reshape(1, 1, -1)
        sums = np.zeros_like(cube)
        for axis in (1, 2):
            low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
            high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
            sums[low] += cube[high]
            sums[high] += cube[low]
        out[apart : apart + whole] += sums.reshape(-1)
        return out


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
