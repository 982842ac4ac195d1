"""Rounding to a fine grid, so that the last bits of matrix products and transforms do not depend on the machine."""

from __future__ import annotations

import numpy as np

_FINENESS = 256.0
_SMALLEST = 2.0**-149  # float32 has nothing finer, and quotients by much less leave float64's range
_LARGEST = float(np.finfo(np.float32).max)


def snap(values: np.ndarray, step: float) -> np.ndarray:
    """float64 -> float32, on multiples of step / 256, within float32's range.

    Libraries differ in the 16th digit; a value is near a tie of this grid so rarely that the difference never shows.
    """
    grid = max(step / _FINENESS, _SMALLEST)
    snapped = np.rint(values / grid)
    snapped *= grid
    return np.clip(snapped, -_LARGEST, _LARGEST, out=snapped).astype(np.float32)
