"""Integer matrices under static tables that follow the data: the encoder picks the cheapest of a few descriptions.

Which tables the rows use (those both sides know, one per row sent, or one for all), and whether columns carry a gain in
octaves. So a wrong calibration or a token of unusual size costs a few bits a column, not a few bits an element.
"""

from __future__ import annotations

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


def put(encoder: Encoder, symbols: np.ndarray, known: np.ndarray | None = None, family: str = "laplace") -> None:
    """symbols (rows, n) int32; known: (rows,) bank indices that the decoder has, or None."""
    if not symbols.size:
        return
    source, tables, gains = _choose(symbols, known, family)
    encoder.put_uniform(source, 3)
    if source == _ROWS:
        scales.put(encoder, tables)
    elif source == _ONE:
        encoder.put_uniform(int(tables[0]), 256)
    scales.put_around(encoder, gains, len(_GAINS))
    if (gains == gains[0]).all():
        grouped.put(encoder, symbols, _shifted(tables, _GAINS[gains[0]]), family)
    else:
        grouped.put(encoder, symbols.reshape(-1, 1), _shifted(tables[:, None], _GAINS[gains]).ravel(), family)


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
    """Bits of rows under their tables, at every gain: of one zero, per unit of size, and of a column of non-zeros."""

    def __init__(self, tables: np.ndarray, family: str) -> None:
        self.exact = _all_prices(family).take(tables, 1)  # (3, rows, gains)
        zero, nonzero, size = self.exact
        self.by_column, self.column = np.concatenate([zero - nonzero, size]), nonzero.sum(0)

    @cached_property
    def by_sums(self) -> np.ndarray:
        """Of `fitting.sums`, rows joined."""
        return self.exact.transpose(1, 0, 2).reshape(-1, len(_GAINS))


@cache
def _all_prices(family: str) -> np.ndarray:
    """(3, indices, gains) `fitting.prices` of every bank index after every gain."""
    return fitting.prices(_shifted(np.arange(bank.MAX_INDEX + 1)[:, None], _GAINS), family)


@lru_cache(maxsize=256)
def _known_prices(tables: bytes, family: str) -> _Prices:
    """Prices of calibrated tables: the same for every packet."""
    return _Prices(np.frombuffer(tables, np.int32), family)


def _choose(symbols: np.ndarray, known: np.ndarray | None, family: str) -> tuple[int, np.ndarray, np.ndarray]:
    """-> source, tables (rows,), gains (n,) as indices into _GAINS."""
    both = np.empty((2, *symbols.shape), np.float32)
    zeros, sizes = both[0], fitting.sizes(symbols, family, both[1])
    np.equal(symbols, 0, out=zeros)
    usual = _usual(sizes)
    chosen = (sizes, zeros) if usual is None else (sizes[:, usual], zeros[:, usual])
    sums = fitting.sums(*chosen)
    costs = fitting.costs(sums, float(chosen[0].max(initial=1)), family)
    total = costs.sum(0)
    one = int(total.argmin())
    offers = [
        (costs.min(1).sum() + _ROW_BITS * len(costs) + 14, _ROWS),
        (total[one] + 8, _ONE),
    ]
    prices = None
    if known is not None:
        prices = _known_prices(known.astype(np.int32, copy=False).tobytes(), family)
        offers.append(((sums.ravel() @ prices.by_sums).min(), _KNOWN))
    source = min(offers)[1]
    if source != _KNOWN:
        known = (costs.argmin(1) if source == _ROWS else np.full(len(costs), one)).astype(np.int32)
        prices = _Prices(known, family)
    return source, known, _choose_gains(both, prices, family)


def _usual(sizes: np.ndarray) -> np.ndarray | None:
    """Columns of no unusual size, None for all: the others get a gain, and no say in the tables."""
    totals = np.ones(len(sizes), np.float32) @ sizes
    limit = _UNUSUAL * np.sort(totals)[totals.size // 2] + len(sizes)
    return None if totals.max() <= limit else totals <= limit


def _choose_gains(both: np.ndarray, prices: _Prices, family: str) -> np.ndarray:
    """Zeros and sizes (2, rows, n) -> (n,) indices into _GAINS: one for all columns, or its own for each that pays."""
    costs = both.reshape(-1, both.shape[2]).T @ prices.by_column + prices.column  # as if tables had no end
    sums, cheapest = costs.sum(0), costs.argmin(1)
    base = int(sums.argmin()) if sums.min() + 16 < sums[_NEUTRAL] else _NEUTRAL
    gains = np.full(len(costs), base)
    unusual = np.flatnonzero(costs.min(1) + _COLUMN_BITS < costs[:, base])
    if not unusual.size:
        return gains
    offered = _offered(cheapest[unusual], base)
    exact = _exact_costs(both.take(unusual, 2), prices.exact.take(offered, 2), family)
    own = offered == base
    exact += np.where(own, 0, _COLUMN_BITS)
    if (exact[:, own][:, 0] - exact.min(1)).sum() > _GAIN_BITS:
        gains[unusual] = offered.take(exact.argmin(1))
    return gains


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
