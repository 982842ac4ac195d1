"""Integer matrices under static tables that follow the data: the encoder picks the cheapest of a few descriptions.

Which tables the rows use (those both sides know, one per row sent, or one for all), and whether columns carry a gain in
octaves. So a wrong calibration or a token of unusual size costs a few bits a column, not a few bits an element.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property, lru_cache

import numpy as np

from lamofc.entropy import bank, fitting, grouped, scales
from lamofc.entropy.ans import Decoder, Encoder

_KNOWN, _ROWS, _ONE = range(3)
_GAINS = bank.PER_OCTAVE * np.arange(-4, 12)  # octaves, in indices
_LOWEST, _HIGHEST = np.uint8(-_GAINS[0]), np.uint8(bank.MAX_INDEX - _GAINS[0])
_NEUTRAL = 4
_ROW_BITS, _COLUMN_BITS, _GAIN_BITS = 3.5, 2.0, 40.0  # guesses: a sent table, a rare gain, the spread of gains
_ESCAPE_BITS = 14.0
_UNUSUAL = 6.0
_CACHED = 1 << 15  # floats
_TOGETHER = 1 << 17  # values of matrices that are looked at together


def put(encoder: Encoder, symbols: np.ndarray, known: np.ndarray | None = None, family: str = "laplace") -> None:
    """symbols (rows, n) int32; known: (rows,) bank indices that the decoder has, or None."""
    if symbols.size:
        _put_stack([encoder], symbols[None], None if known is None else known[None], family)


class Queue:
    """Matrices of a packet that are put at the same time, each where its encoder stood: the same bytes as `put`.

    Short tensors cost calls rather than arithmetic, and those of one shape share every call before the coder's own.
    """

    def __init__(self) -> None:
        self._alike: dict[tuple, list[tuple[Encoder, np.ndarray, np.ndarray | None]]] = {}

    def put(
        self, encoder: Encoder, symbols: np.ndarray, known: np.ndarray | None = None, family: str = "laplace"
    ) -> None:
        """As `put`, which happens in `run`."""
        if symbols.size:
            alike = self._alike.setdefault((symbols.shape, known is None, family), [])
            alike.append((encoder.later(), symbols, known))

    def run(self) -> None:
        for ((rows, count), unknown, family), jobs in self._alike.items():
            at_once = max(1, _TOGETHER // (rows * count))
            for first in range(0, len(jobs), at_once):
                encoders, symbols, known = zip(*jobs[first : first + at_once], strict=True)
                _put_stack(encoders, np.stack(symbols), None if unknown else np.stack(known), family)
        self._alike.clear()


def _put_stack(encoders: Sequence[Encoder], stack: np.ndarray, known: np.ndarray | None, family: str) -> None:
    """stack (encoders, rows, n), known (encoders, rows)."""
    sources, tables, gains = _choose(stack, known, family)
    for encoder, source, own in zip(encoders, sources, tables, strict=True):
        encoder.put_uniform(source, 3)
        if source == _ONE:
            encoder.put_uniform(int(own[0]), 256)
    if sent := [i for i, source in enumerate(sources) if source == _ROWS]:
        scales.put_around_all([encoders[i] for i in sent], tables[sent], 256)
    scales.put_around_all(encoders, gains, len(_GAINS))
    even = (gains == gains[:, :1]).all(1)
    _put_some(encoders, even.nonzero()[0], stack, tables, gains[:, :1], family)
    _put_some(encoders, (~even).nonzero()[0], stack, tables, gains, family)


def _put_some(
    encoders: Sequence[Encoder],
    chosen: np.ndarray,
    stack: np.ndarray,
    tables: np.ndarray,
    gains: np.ndarray,
    family: str,
) -> None:
    """Matrices under tables after gains (matrices, 1), which rows share, or (matrices, n)."""
    if not chosen.size:
        return
    if chosen.size < len(encoders):
        encoders, stack, tables, gains = [encoders[i] for i in chosen], stack[chosen], tables[chosen], gains[chosen]
    moved = _shifted(tables[:, :, None], _GAINS.take(gains)[:, None]).reshape(len(stack), -1)
    grouped.put_all(encoders, stack.reshape(*moved.shape, -1), moved, family)


def take(
    decoder: Decoder, rows: int, count: int, known: np.ndarray | None = None, family: str = "laplace"
) -> np.ndarray:
    """Inverse of `put` -> (rows, count) int32."""
    if not rows * count:
        return np.zeros((rows, count), np.int32)
    tables = _take_tables(decoder, rows, known)
    gains = scales.take_around(decoder, count, len(_GAINS))
    if (gains == gains[0]).all():
        return grouped.take(decoder, count, _shifted(tables, _GAINS[gains[0]]), family)
    each = _shifted(tables[:, None], _GAINS[gains]).ravel()
    return grouped.take(decoder, 1, each, family).reshape(rows, count)


def _take_tables(decoder: Decoder, rows: int, known: np.ndarray | None) -> np.ndarray:
    source = decoder.take_one(3)
    if source == _ROWS:
        return scales.take(decoder, rows)
    if source == _ONE or known is None:
        return np.full(rows, min(decoder.take_one(256), bank.MAX_INDEX), np.int32)
    return known


def _shifted(tables: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """Bank indices after a gain, uint8: what `grouped` sorts by, in the narrowest type, which holds all sums."""
    moved = (tables - _GAINS[0]).astype(np.uint8) + np.asarray(shift).astype(np.uint8)  # negative gains wrap around
    np.maximum(moved, _LOWEST, out=moved)
    np.minimum(moved, _HIGHEST, out=moved)
    return np.subtract(moved, _LOWEST, out=moved)


class _Prices:
    """Bits of rows under their tables (matrices, rows), at every gain: per row of zeros, of non-zeros and per unit of
    size; of a column of non-zeros; and what a zero and a unit of size add to that."""

    def __init__(self, tables: np.ndarray, family: str) -> None:
        self.exact = _all_prices(family).take(tables, 1)  # (3, matrices, rows, gains)
        zero, nonzero, size = self.exact
        self.by_column, self.column = np.concatenate([zero - nonzero, size], 1), nonzero.sum(1)

    @cached_property
    def by_sums(self) -> np.ndarray:
        """Of `fitting.sums`, rows joined."""
        return self.exact.transpose(1, 2, 0, 3).reshape(self.exact.shape[1], -1, len(_GAINS))


@cache
def _all_prices(family: str) -> np.ndarray:
    """(3, indices, gains) `fitting.prices` of every bank index after every gain."""
    return fitting.prices(_shifted(np.arange(bank.MAX_INDEX + 1)[:, None], _GAINS), family)


@lru_cache(maxsize=64)
def _known_prices(tables: bytes, matrices: int, family: str) -> _Prices:
    """Prices of calibrated tables: the same for every packet."""
    return _Prices(np.frombuffer(tables, np.int32).reshape(matrices, -1), family)


def _choose(stack: np.ndarray, known: np.ndarray | None, family: str) -> tuple[list[int], np.ndarray, np.ndarray]:
    """-> source of each matrix, tables (matrices, rows), gains (matrices, n) as indices into _GAINS."""
    both = np.empty((len(stack), 2, *stack.shape[1:]), np.float32)
    zeros, sizes = both[:, 0], both[:, 1]
    fitting.sizes(stack, family, sizes)
    np.equal(stack, 0, out=zeros)
    sums, largest = _sums(sizes, zeros)
    costs = fitting.costs(sums, largest, family)
    total, cheapest = costs.sum(1), costs.min(2).sum(1)
    ones, prices = total.argmin(1), None
    rows = [(c + _ROW_BITS * stack.shape[1] + 14, _ROWS) for c in cheapest.tolist()]
    offers = [rows, [(c + 8, _ONE) for c in total.min(1).tolist()]]
    if known is not None:
        known = known.astype(np.int32, copy=False)
        prices = _known_prices(known.tobytes(), len(known), family)
        kept = (sums.reshape(len(sums), 1, -1) @ prices.by_sums).min((1, 2))
        offers.append([(c, _KNOWN) for c in kept.tolist()])
    sources = [min(own)[1] for own in zip(*offers, strict=True)]
    if any(sources) or prices is None:
        known = np.stack([_tables_of(s, i, costs, ones, known) for i, s in enumerate(sources)])
        prices = _Prices(known, family)
    return sources, known, _choose_gains(both, prices, family)


def _tables_of(source: int, i: int, costs: np.ndarray, ones: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Bank indices (rows,) int32 of matrix i."""
    if source == _KNOWN:
        return known[i]
    return (costs[i].argmin(1) if source == _ROWS else np.full(costs.shape[1], ones[i])).astype(np.int32)


def _sums(sizes: np.ndarray, zeros: np.ndarray) -> tuple[np.ndarray, float]:
    """`fitting.sums` of each matrix (rows, n) over its columns of no unusual size, and the largest size among those.

    The others get a gain, and no say in the tables.
    """
    out = fitting.sums(sizes, zeros)
    totals = np.ones(sizes.shape[1], np.float32) @ sizes
    middle = np.sort(totals, 1)[:, totals.shape[1] // 2]
    limits = _UNUSUAL * middle.astype(np.float64) + sizes.shape[1]
    some, largest = (totals.max(1) > limits).nonzero()[0], sizes.max((1, 2), initial=1)
    for i in some.tolist():
        usual = totals[i] <= limits[i].astype(np.float32)
        out[i], largest[i] = fitting.sums(sizes[i][:, usual], zeros[i][:, usual]), sizes[i][:, usual].max(initial=1)
    return out, float(largest.max())


def _choose_gains(both: np.ndarray, prices: _Prices, family: str) -> np.ndarray:
    """Zeros and sizes (matrices, 2, rows, n) -> (matrices, n) indices into _GAINS: of each matrix one for all
    columns, or its own for each that pays."""
    count = both.shape[3]
    costs = both.reshape(len(both), -1, count).transpose(0, 2, 1) @ prices.by_column  # as if tables had no end
    costs += prices.column[:, None]
    sums, lowest = costs.sum(1), costs.min(2)
    worth = sums.min(1).astype(np.float64) + 16 < sums[:, _NEUTRAL]
    bases = np.where(worth, sums.argmin(1), _NEUTRAL)
    gains = np.repeat(bases, count).reshape(-1, count)
    unusual = lowest + _COLUMN_BITS < np.take_along_axis(costs, bases[:, None, None], 2)[:, :, 0]
    for i in unusual.any(1).nonzero()[0].tolist():
        _gain_columns(gains[i], unusual[i].nonzero()[0], costs[i], both[i], prices.exact[:, i], family)
    return gains


def _gain_columns(
    gains: np.ndarray, unusual: np.ndarray, costs: np.ndarray, both: np.ndarray, prices: np.ndarray, family: str
) -> None:
    """Gains (n,) of one matrix, all the same, to those of its unusual columns if their bits pay for it; in place."""
    base = int(gains[0])
    offered = _offered(costs.take(unusual, 0).argmin(1), base)
    exact = _exact_costs(both.take(unusual, 2), prices.take(offered, 2), family)
    own = offered == base
    exact += np.where(own, 0, _COLUMN_BITS)
    if (exact[:, own][:, 0] - exact.min(1)).sum() > _GAIN_BITS:
        gains[unusual] = offered.take(exact.argmin(1))


def _offered(cheapest: np.ndarray, base: int) -> np.ndarray:
    """Gains that some column would take, and the one that all others have, ascending."""
    used = np.zeros(len(_GAINS), bool)
    used[cheapest] = True
    used[base] = True
    return used.nonzero()[0]


def _exact_costs(both: np.ndarray, prices: np.ndarray, family: str) -> np.ndarray:
    """(n, gains) bits of each column, escapes included; several gains in one pass while they fit into the cache."""
    rows, count = both.shape[1:]
    at_once = max(1, _CACHED // max(rows * count, 1))
    zeros, sizes = both[0, :, None], both[1, :, None]
    out, escaped = np.empty((count, prices.shape[2])), None
    for first in range(0, prices.shape[2], at_once):
        zero, nonzero, size = prices[:, :, first : first + at_once, None]
        bits = size * sizes
        bits += nonzero
        bits += (zero - nonzero) * zeros
        if bits.max() > _ESCAPE_BITS:
            escaped = _escaped_bits(sizes, family) if escaped is None else escaped
            np.minimum(bits, escaped, out=bits)
        out[:, first : first + at_once] = bits.sum(0).T
    return out


def _escaped_bits(sizes: np.ndarray, family: str) -> np.ndarray:
    """What values cost that their table has no symbol for: at least _ESCAPE_BITS."""
    escaped = np.log2(sizes + 1)
    escaped *= 2 if family == "laplace" else 1
    escaped += _ESCAPE_BITS
    return escaped
