"""Integer matrices under static tables that follow the data: the encoder picks the cheapest of a few descriptions.

Which tables the rows use (those both sides know, one per row sent, or one for all), and whether columns carry a gain in
octaves. So a wrong calibration or a token of unusual size costs a few bits a column, not a few bits an element.
"""

from __future__ import annotations

import numpy as np

from lamofc.entropy import bank, fitting, grouped, scales
from lamofc.entropy.ans import Decoder, Encoder

_KNOWN, _ROWS, _ONE = range(3)
_GAINS = bank.PER_OCTAVE * np.arange(-4, 12)  # octaves, in indices
_NEUTRAL = 4
_ROW_BITS, _COLUMN_BITS, _GAIN_BITS = 3.5, 2.0, 40.0  # guesses: a sent table, a rare gain, the spread of gains
_ESCAPE_BITS = 14.0
_UNUSUAL = 6.0


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
    return np.minimum(np.maximum(tables + shift, 0), bank.MAX_INDEX)


def _choose(symbols: np.ndarray, known: np.ndarray | None, family: str) -> tuple[int, np.ndarray, np.ndarray]:
    """-> source, tables (rows,), gains (n,) as indices into _GAINS."""
    sizes, zeros = fitting.sizes(symbols, family), (symbols == 0).astype(np.float32)
    usual = _usual(sizes)
    costs = fitting.costs(*((sizes, zeros) if usual is None else (sizes[:, usual], zeros[:, usual])), family)
    total = costs.sum(0)
    one = int(total.argmin())
    offers = [
        (costs.min(1).sum() + _ROW_BITS * len(costs) + 14, _ROWS),
        (total[one] + 8, _ONE),
    ]
    if known is not None:
        every = np.minimum(_shifted(known[:, None], _GAINS), costs.shape[1] - 1)
        every += costs.shape[1] * np.arange(len(costs))[:, None]
        offers.append((costs.ravel()[every].sum(0).min(), _KNOWN))
    source = min(offers)[1]
    tables = {_ROWS: costs.argmin(1), _ONE: np.full(len(costs), one), _KNOWN: known}[source].astype(np.int32)
    return source, tables, _choose_gains(sizes, zeros, tables, family)


def _usual(sizes: np.ndarray) -> np.ndarray | None:
    """Columns of no unusual size, None for all: the others get a gain, and no say in the tables."""
    totals = np.ones(len(sizes), np.float32) @ sizes
    limit = _UNUSUAL * np.sort(totals)[totals.size // 2] + len(sizes)
    return None if totals.max() <= limit else totals <= limit


def _choose_gains(sizes: np.ndarray, zeros: np.ndarray, tables: np.ndarray, family: str) -> np.ndarray:
    """(n,) indices into _GAINS: one for all columns, or each its own where that pays."""
    zero, nonzero, size = prices = fitting.prices(_shifted(tables[:, None], _GAINS), family)
    costs = zeros.T @ (zero - nonzero) + sizes.T @ size + nonzero.sum(0)  # as if tables had no end
    sums, cheapest = costs.sum(0), costs.argmin(1)
    base = int(sums.argmin()) if sums.min() + 16 < sums[_NEUTRAL] else _NEUTRAL
    gains = np.full(len(costs), base)
    unusual = np.flatnonzero(costs.min(1) + _COLUMN_BITS < costs[:, base])
    if not unusual.size:
        return gains
    offered = np.unique(np.append(cheapest[unusual], base))
    exact = _exact_costs(sizes[:, unusual], zeros[:, unusual], prices[:, :, offered], family)
    exact += np.where(offered == base, 0, _COLUMN_BITS)
    if (exact[:, offered == base][:, 0] - exact.min(1)).sum() > _GAIN_BITS:
        gains[unusual] = offered[exact.argmin(1)]
    return gains


def _exact_costs(sizes: np.ndarray, zeros: np.ndarray, prices: np.ndarray, family: str) -> np.ndarray:
    """(n, gains) bits of each column, escapes included."""
    escaped = _ESCAPE_BITS + (2 if family == "laplace" else 1) * np.log2(sizes + 1)
    out = np.empty((sizes.shape[1], prices.shape[2]))
    for gain in range(prices.shape[2]):
        zero, nonzero, size = prices[:, :, gain, None]
        out[:, gain] = np.minimum(np.where(zeros, zero, nonzero + size * sizes), escaped).sum(0)
    return out
