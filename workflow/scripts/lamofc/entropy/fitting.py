"""Which static table fits: code lengths of the whole bank from three sums per row.

The code length of a table is linear in |value| (Laplace) or in its square (Gaussian) beyond zero, so that zeros,
non-zeros and one sum give the cost of every table without looking at the symbols again. Exact for Laplace tables, but
escapes count as if they had symbols.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from lamofc.entropy import bank


def sizes(symbols: np.ndarray, family: str = "laplace", out: np.ndarray | None = None) -> np.ndarray:
    """What the code length is linear in, float32: absolute values or squares; into `out` if given."""
    wide = np.empty(symbols.shape, np.float32) if out is None else out
    wide[...] = symbols
    return np.abs(wide, out=wide) if family == "laplace" else np.square(wide, out=wide)


def costs(sums: np.ndarray, largest: float, family: str = "laplace") -> np.ndarray:
    """`sums` of rows, largest of their sizes -> (..., rows, indices) bits under every index of use."""
    octaves = math.log2(max(largest, 1.0)) / (1 if family == "laplace" else 2)
    used = min(int(bank.PER_OCTAVE * octaves) + bank.ORIGIN + 6, bank.MAX_INDEX + 1)
    return sums @ _prices(family)[:, :used]


def sums(sizes: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """(..., rows, 3) float32: zeros, non-zeros, sum of sizes of each row. With `prices`, bits."""
    count = sizes.shape[-1]
    ones = np.ones(count, np.float32)
    out = np.empty((*sizes.shape[:-1], 3), np.float32)
    out[..., 0], out[..., 2] = zeros @ ones, sizes @ ones
    np.subtract(count, out[..., 0], out=out[..., 1])
    return out


def row_costs(symbols: np.ndarray, family: str = "laplace") -> np.ndarray:
    """(..., rows, n) int32 -> (..., rows, indices) bits under every index of use."""
    found = sizes(symbols, family)
    return costs(sums(found, (symbols == 0).astype(np.float32)), float(found.max(initial=1)), family)


def best(symbols: np.ndarray, family: str = "laplace") -> np.ndarray:
    """The cheapest index of each row of (rows, n) int32 -> (rows,) int32."""
    return row_costs(symbols, family).argmin(1).astype(np.int32)


def best_alone(symbols: np.ndarray, family: str = "laplace") -> np.ndarray:
    """`best` of each row as if it stood alone, so that rounding is the same: (rows, n) int32 -> (rows,) int32."""
    return row_costs(symbols[:, None], family).argmin(2).ravel().astype(np.int32)


def prices(indices: np.ndarray, family: str = "laplace") -> np.ndarray:
    """Bank indices -> float32 (3, *shape): bits of a zero, of a non-zero without its size, per unit of size."""
    return np.take(_prices(family), indices, axis=1)


@cache
def _prices(family: str) -> np.ndarray:
    """`prices` of all indices."""
    base, low = bank.split(np.arange(bank.MAX_INDEX + 1))
    sigma, power = bank.sigma(base), {"laplace": 1, "gauss": 2}[family]
    slope = {"laplace": np.sqrt(2) / sigma, "gauss": 0.5 / sigma**2}[family] / np.log(2)
    lengths = [-np.log2(bank.probabilities(int(t), family)) for t in base]
    reach = bank.reach(family)[base]
    zero = np.array([bits[m] for bits, m in zip(lengths, reach, strict=True)]) + low
    one = np.array([bits[m + 1] for bits, m in zip(lengths, reach, strict=True)]) + low
    return np.stack([zero, one - slope, slope / np.exp2(low * power)]).astype(np.float32)
