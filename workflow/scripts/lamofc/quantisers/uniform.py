"""Uniform midtread quantiser: rounding to nearest, optional dead zone by rate, midpoint reconstruction.

Midpoints, not centroids: shrinkage lowers every MSE but is a coherent bias that attention and normalisation keep.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamofc.entropy import bank
from lamofc.entropy.grouped import LIMIT

_HIGH_RATE_PRICE = np.log(2) / 6  # -dD/dR of a uniform quantiser at high rate, in squared steps per bit


def quantise(values: np.ndarray, step: float) -> np.ndarray:
    """float32 -> int32 of the same shape, nearest multiple of `step`, within +-LIMIT."""
    return _rounded(values * np.float32(1 / step))


def quantise_all(values: np.ndarray, steps: Sequence[float]) -> np.ndarray:
    """`quantise` of matrices (n, ...), each with its own step."""
    factors = np.array([1 / step for step in steps]).astype(np.float32).astype(values.dtype)
    return _rounded(values * factors.reshape(-1, *[1] * (values.ndim - 1)))


def _rounded(scaled: np.ndarray) -> np.ndarray:
    """To nearest, within +-LIMIT, int32; overwrites what it is given."""
    np.rint(scaled, out=scaled)
    np.maximum(scaled, -LIMIT, out=scaled)  # twice as fast as np.clip on short tensors
    return np.minimum(scaled, LIMIT, out=scaled).astype(np.int32)


def quantise_rd(values: np.ndarray, step: float, tables: np.ndarray, weight: float) -> np.ndarray:
    """As `quantise` for (rows, n), but a size is rounded up only where that pays for its bits under the Laplace tables.

    weight: 1 trades as a uniform quantiser does at high rate; 0 is `quantise`.
    """
    base, low = bank.split(tables)
    slope = np.sqrt(2) / (bank.sigma(base) * np.exp2(low) * np.log(2))  # bits per unit of size
    offset = np.clip(0.5 - weight * _HIGH_RATE_PRICE * slope / 2, 0.05, 0.5).astype(np.float32)
    scaled = values * np.float32(1 / step)
    sizes = np.floor(np.abs(scaled) + offset[:, None])
    return np.clip(np.copysign(sizes, scaled), -LIMIT, LIMIT).astype(np.int32)


def dequantise(symbols: np.ndarray, step: float) -> np.ndarray:
    """int32 -> float32 midpoints; may be infinite at the end of float32's range."""
    with np.errstate(over="ignore"):
        return symbols.astype(np.float32) * np.float32(step)


def coarsening(largest: float, step: float) -> int:
    """How often the step must be doubled so that no value of size `largest` leaves the range of symbols."""
    ratio = float(largest) / step / (LIMIT / 2)
    return max(0, int(np.ceil(np.log2(ratio)))) if ratio > 1 else 0
