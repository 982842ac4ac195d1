"""Sine and cosine by elementwise float64 operations alone: libraries differ in the last bit, these do not.

Cody and Waite's reduction (1980) with pi/2 in three parts, then Taylor polynomials: within 2^-52 of the true values.
"""

from __future__ import annotations

from math import factorial

import numpy as np

# 33 bits each, so that their products by up to 2^20 quarter turns are exact; the last is what is left.
_QUARTER = (6746518852 * 2.0**-32, 4484108710 * 2.0**-66, 2563527024 * 2.0**-100)
_SINE = [(-1) ** k / factorial(2 * k + 1) for k in range(9)]
_COSINE = [(-1) ** k / factorial(2 * k) for k in range(10)]
_TURNS = 0.6366197723675814  # quarter turns in a radian, 2 / pi


def cosine_sine(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of angles in radians, float64; beyond a million or so less accurate, but still equal everywhere."""
    quarters = np.rint(angles * _TURNS)
    rest = angles
    for part in _QUARTER:
        rest = rest - quarters * part
    square = rest * rest
    cosine, sine = _polynomial(square, _COSINE), rest * _polynomial(square, _SINE)
    turn = quarters.astype(np.int64) & 3
    odd = (turn & 1).astype(bool)
    first, second = np.where(odd, sine, cosine), np.where(odd, cosine, sine)
    return np.where((turn == 1) | (turn == 2), -first, first), np.where(turn >= 2, -second, second)


def _polynomial(x: np.ndarray, coefficients: list[float]) -> np.ndarray:
    out = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        out *= x
        out += c
    return out
