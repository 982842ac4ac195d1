"""Nearest points of the lattices D4 and E8 (Conway and Sloane 1982), at one point per unit of volume."""

from __future__ import annotations

import numpy as np

DIMENSIONS = {"d4": 4, "e8": 8}
SCALES = {"d4": 2.0**-0.25, "e8": 1.0}  # D4 has a point per volume of 2

_CACHED = 1 << 12


def nearest(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(dimension, n) float32 in units of the lattice -> whole part (dimension, n) int32 of even sums, coset (n,) bool.

    The point is the whole part, plus one half in every coordinate where the coset is set (E8 alone has it).
    """
    whole, coset = np.empty(values.shape, np.int32), np.zeros(values.shape[1], bool)
    for i in range(0, values.shape[1], _CACHED):
        part = slice(i, i + _CACHED)
        whole[:, part], coset[part] = _nearest(values[:, part], name)
    return whole, coset


def points(whole: np.ndarray, coset: np.ndarray) -> np.ndarray:
    """Inverse: (dimension, n) float32 coordinates."""
    return whole.astype(np.float32) + np.float32(0.5) * coset


def _nearest(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | bool]:
    whole, error, odd, distance = _rounded(values)
    coset: np.ndarray | bool = False
    if name == "e8":
        other = _rounded(values - np.float32(0.5))
        coset = other[3] < distance
        whole, error = np.where(coset, other[0], whole), np.where(coset, other[1], error)
        odd = np.where(coset, other[2], odd)
    where = np.flatnonzero(odd)
    error = error[:, where]
    worst = np.abs(error).argmax(0)
    whole[worst, where] += np.where(error[worst, np.arange(len(where))] < 0, -1, 1)
    return whole, coset


def _rounded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Nearest integers, what they leave, whether their sum is odd, squared distance once the worst is moved if so."""
    whole = np.rint(values)
    error = values - whole
    whole = whole.astype(np.int32)
    odd = np.bitwise_xor.reduce(whole, axis=0) & 1
    return whole, error, odd, np.square(error).sum(0) + odd * (1 - 2 * np.abs(error).max(0))
