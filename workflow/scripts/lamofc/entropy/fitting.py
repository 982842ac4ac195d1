"""Which static table fits: exact code lengths of the Laplace bank from three sums per row.

The code length of a Laplace table is linear in |value| beyond zero, so that zeros, non-zeros and the sum of absolute
values give the cost of every table without looking at the symbols again (escapes counted as if they had symbols).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lamofc.entropy import bank


def statistics(symbols: np.ndarray) -> np.ndarray:
    """symbols (rows, n) int32 -> (rows, 3) float64: zeros, non-zeros, sum of absolute values."""
    nonzero = np.count_nonzero(symbols, axis=1)
    return np.stack([symbols.shape[1] - nonzero, nonzero, np.abs(symbols).sum(axis=1, dtype=np.float64)], 1)


def costs(statistics: np.ndarray) -> np.ndarray:
    """(rows, 3) sums -> (rows, bank.MAX_INDEX + 1) bits under every Laplace index."""
    return statistics @ _prices()


def best(symbols: np.ndarray) -> np.ndarray:
    """The cheapest index of each row, (rows,) int32."""
    return costs(statistics(symbols)).argmin(1).astype(np.int32)


@lru_cache(maxsize=1)
def _prices() -> np.ndarray:
    """(3, indices): bits of a zero, bits of a non-zero without its size, bits per unit of size."""
    base, low = bank.split(np.arange(bank.MAX_INDEX + 1))
    slope = np.sqrt(2) / bank.sigma(base) / np.log(2)
    zero = np.array([_zero_bits(int(t)) for t in base]) + low
    one = np.array([_one_bits(int(t)) for t in base]) + low
    return np.stack([zero, one - slope, slope / np.exp2(low)])


def _zero_bits(t: int) -> float:
    return float(-np.log2(bank.probabilities(t, "laplace")[bank.reach()[t]]))


def _one_bits(t: int) -> float:
    return float(-np.log2(bank.probabilities(t, "laplace")[bank.reach()[t] + 1]))
