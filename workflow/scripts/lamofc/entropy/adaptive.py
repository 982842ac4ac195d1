"""Integer matrices under static tables that follow the data: the encoder picks the cheapest of a few descriptions.

Which tables the rows use (those both sides know, one per row sent, or one for all), and whether columns carry a gain in
octaves. So a wrong calibration or a token of unusual size costs a few bits a column, not a few bits an element.
"""

from __future__ import annotations

import numpy as np

from lamofc.entropy import bank, fitting, grouped, histogram, scales
from lamofc.entropy.ans import Decoder, Encoder

_KNOWN, _ROWS, _ONE = range(3)
_GAINS = np.arange(-4, 12)  # octaves
_NEUTRAL = 4
_ROW_BITS, _COLUMN_BITS = 3.5, 2.0  # guesses of what a sent table and a gain other than the commonest cost
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
    histogram.put(encoder, gains, len(_GAINS))
    for gain in np.unique(gains).tolist():
        columns = gains == gain
        part = symbols if columns.all() else symbols[:, columns]
        grouped.put(encoder, part, _shifted(tables, gain), family)


def take(
    decoder: Decoder, rows: int, count: int, known: np.ndarray | None = None, family: str = "laplace"
) -> np.ndarray:
    """Inverse of `put` -> (rows, count) int32."""
    if not rows * count:
        return np.zeros((rows, count), np.int32)
    tables = _take_tables(decoder, rows, known)
    gains = histogram.take(decoder, count, len(_GAINS))
    used = np.unique(gains).tolist()
    if len(used) == 1:
        return grouped.take(decoder, count, _shifted(tables, used[0]), family)
    out = np.empty((rows, count), np.int32)
    for gain in used:
        columns = np.flatnonzero(gains == gain)
        out[:, columns] = grouped.take(decoder, len(columns), _shifted(tables, gain), family)
    return out


def _take_tables(decoder: Decoder, rows: int, known: np.ndarray | None) -> np.ndarray:
    source = decoder.take_one(3)
    if source == _ROWS:
        return scales.take(decoder, rows)
    if source == _ONE or known is None:
        return np.full(rows, min(decoder.take_one(256), bank.MAX_INDEX), np.int32)
    return known


def _shifted(tables: np.ndarray, gain: int) -> np.ndarray:
    return np.clip(tables + bank.PER_OCTAVE * int(_GAINS[gain]), 0, bank.MAX_INDEX)


def _choose(symbols: np.ndarray, known: np.ndarray | None, family: str) -> tuple[int, np.ndarray, np.ndarray]:
    """-> source, tables (rows,), gains (n,) as indices into _GAINS."""
    usual = _usual(symbols)
    costs = fitting.costs(fitting.statistics(usual, family), family)
    one = int(costs.sum(0).argmin())
    offers = [
        (costs.min(1).sum() + _ROW_BITS * len(costs) + 14, _ROWS, costs.argmin(1)),
        (costs[:, one].sum() + 8, _ONE, np.full(len(costs), one)),
    ]
    if known is not None:
        every = np.stack([_shifted(known, g) for g in range(len(_GAINS))], 1)
        offers.append((np.take_along_axis(costs, every, 1).sum(0).min(), _KNOWN, known))
    _, source, tables = min(offers, key=lambda offer: offer[0])
    tables = tables.astype(np.int32)
    return source, tables, _choose_gains(symbols, tables, family)


def _usual(symbols: np.ndarray) -> np.ndarray:
    """Columns of no unusual size: the others get a gain, and no say in the tables."""
    totals = np.abs(symbols).sum(0, dtype=np.int64)
    keep = totals <= _UNUSUAL * np.median(totals) + len(symbols)
    return symbols if keep.all() else symbols[:, keep]


def _choose_gains(symbols: np.ndarray, tables: np.ndarray, family: str) -> np.ndarray:
    """(n,) indices into _GAINS: one for all columns, or each its own where that pays."""
    costs = _linear_costs(symbols, tables, family)
    base = int(costs.sum(0).argmin())
    base = base if costs[:, base].sum() + 16 < costs[:, _NEUTRAL].sum() else _NEUTRAL
    unusual = np.flatnonzero(costs.min(1) + _COLUMN_BITS < costs[:, base])
    costs[unusual] = _exact_costs(symbols[:, unusual], tables, family)
    costs += _COLUMN_BITS
    costs[:, base] -= _COLUMN_BITS
    gains = np.full(len(costs), base)
    gains[unusual] = costs[unusual].argmin(1)
    bits, plain = costs[np.arange(len(gains)), gains].sum(), costs[:, base].sum()
    return gains if bits + 40 < plain else np.full(len(gains), base)


def _linear_costs(symbols: np.ndarray, tables: np.ndarray, family: str) -> np.ndarray:
    """(n, gains) bits of each column as if tables had no end: too much where values are escaped."""
    zero, nonzero, size = fitting.prices(np.stack([_shifted(tables, g) for g in range(len(_GAINS))], 1), family)
    sizes = fitting.sizes(symbols, family)
    return (symbols == 0).astype(np.float32).T @ (zero - nonzero) + sizes.T @ size + nonzero.sum(0)


def _exact_costs(symbols: np.ndarray, tables: np.ndarray, family: str) -> np.ndarray:
    """(n, gains) bits of each column, escapes included."""
    sizes = fitting.sizes(symbols, family)
    escaped = _ESCAPE_BITS + 2 * np.log2(np.abs(symbols.astype(np.float32)) + 1)
    out = np.empty((symbols.shape[1], len(_GAINS)))
    for gain in range(len(_GAINS)):
        zero, nonzero, size = (p[:, None] for p in fitting.prices(_shifted(tables, gain), family))
        out[:, gain] = np.minimum(np.where(symbols == 0, zero, nonzero + size * sizes), escaped).sum(0)
    return out
