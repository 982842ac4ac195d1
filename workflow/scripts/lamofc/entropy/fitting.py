"""Which static table fits: code lengths of the whole bank from three sums per row.

The code length of a table is linear in |value| (Laplace) or in its square (Gaussian) beyond zero, so that zeros,
non-zeros and one sum give the cost of every table without looking at the symbols again. Exact for Laplace tables, but
escapes count as if they had symbols.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lamofc.entropy import bank


def statistics(symbols: np.ndarray, family: str = "laplace") -> np.ndarray:
    """symbols (rows, n) int32 -> (rows, 3) float64: zeros, non-zeros, sum of `sizes`."""
    nonzero = np.count_nonzero(symbols, axis=1)
    return np.stack([symbols.shape[1] - nonzero, nonzero, sizes(symbols, family).sum(axis=1, dtype=np.float64)], 1)


def sizes(symbols: np.ndarray, family: str = "laplace") -> np.ndarray:
    """What the code length is linear in, float32: absolute values or squares."""
    wide = symbols.astype(np.float32)
    return np.abs(wide) if family == "laplace" else np.square(wide)


def costs(statistics: np.ndarray, family: str = "laplace") -> np.ndarray:
    """(rows, 3) sums -> (rows, bank.MAX_INDEX + 1) bits under every index."""
    return statistics @ _prices(family)


def best(symbols: np.ndarray, family: str = "laplace") -> np.ndarray:
    """The cheapest index of each row, (rows,) int32."""
    return costs(statistics(symbols, family), family).argmin(1).astype(np.int32)


def prices(indices: np.ndarray, family: str = "laplace") -> np.ndarray:
    """Bank indices -> float32 (3, *shape): bits of a zero, of a non-zero without its size, per unit of size."""
    return _prices(family)[:, indices].astype(np.float32)


@cache
def _prices(family: str) -> np.ndarray:
    """`prices` of all indices, float64."""
    base, low = bank.split(np.arange(bank.MAX_INDEX + 1))
    sigma, power = bank.sigma(base), {"laplace": 1, "gauss": 2}[family]
    slope = {"laplace": np.sqrt(2) / sigma, "gauss": 0.5 / sigma**2}[family] / np.log(2)
    lengths = [-np.log2(bank.probabilities(int(t), family)) for t in base]
    reach = bank.reach(family)[base]
    zero = np.array([bits[m] for bits, m in zip(lengths, reach, strict=True)]) + low
    one = np.array([bits[m + 1] for bits, m in zip(lengths, reach, strict=True)]) + low
    return np.stack([zero, one - slope, slope / np.exp2(low * power)])
