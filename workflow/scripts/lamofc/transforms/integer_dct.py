"""The inverse DCT of `positions.Layout` on integers: equal on every machine."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lamofc.transforms import circular, exact
from lamofc.transforms.positions import Layout

FRACTION = 12  # bits behind the point of what comes out, and of what passes from one axis to the other
_BITS = 14  # of the basis


def gains(weights: np.ndarray) -> np.ndarray:
    """Reciprocals of the weights of columns (count,), above 0, times 2^FRACTION. float64."""
    return 2.0**FRACTION / weights.astype(np.float64)


def inverse(symbols: np.ndarray, layout: Layout, gains: np.ndarray) -> tuple[np.ndarray, float]:
    """Integers (dimension, count) int32 -> the inverse DCT of every block times the gains of columns; what bounds it.

    Integers in float64, rounded once for each axis.
    """
    most = float(max(int(symbols.max(initial=0)), -int(symbols.min(initial=0))))
    if layout.size == 1 or not layout.body:
        out, reach = symbols * gains, 1.0
    else:
        out, reach = _transformed(symbols, layout, gains, most)
    return np.rint(out, out=out), most * reach * gains.max(initial=0) + 2.0**FRACTION


def _transformed(symbols: np.ndarray, layout: Layout, gains: np.ndarray, most: float) -> tuple[np.ndarray, float]:
    """As `inverse`, not rounded yet, and how many times the largest symbol its values may be without the gains."""
    out, reach = np.empty(symbols.shape), 1.0
    start, end = layout.count - layout.body, layout.count - layout.body % layout.size
    np.multiply(symbols[:, :start], gains[:start], out=out[:, :start])
    for block, a, b in ((layout.block, start, end), ((1, layout.count - end), end, layout.count)):
        if a < b:
            values, unit = _blocks(symbols[:, a:b], block, most)
            np.multiply(values, gains[a:b] * unit, out=out[:, a:b])
            reach = max(reach, norm(block[0]) * norm(block[1]) * 4.0**-_BITS)
    return out, reach


def _blocks(symbols: np.ndarray, block: tuple[int, int], most: float) -> tuple[np.ndarray, float]:
    """Inverse DCT of neighbouring blocks as integers, and the power of two that they count."""
    rows, columns = block
    cube = np.ascontiguousarray(symbols, np.float64).reshape(-1, columns)
    cube, dropped = exact.bounded(cube, norm(columns), most)
    cube = exact.product(cube, basis(columns))
    if rows > 1:
        cube *= 2.0 ** (dropped + FRACTION - _BITS)
        most = most * norm(columns) * 2.0 ** (FRACTION - _BITS) + 1
        cube, dropped = exact.bounded(np.rint(cube, out=cube), norm(rows), most)
        cube = exact.product(basis(rows).T, cube.reshape(-1, rows, columns))
        dropped -= FRACTION
    return cube.reshape(symbols.shape), 2.0 ** (dropped - _BITS)


@lru_cache(maxsize=256)
def basis(size: int) -> np.ndarray:
    """Orthonormal DCT-II matrix (size, size) times 2^14, rounded; frequencies as rows, float64.

    Angles are reduced on integers and the cosine is this library's own, so that every machine has the same matrix.
    """
    k, n = np.arange(size)[:, None], np.arange(size)[None]
    cosine, _ = circular.cosine_sine(np.pi * (k * (2 * n + 1) % (4 * size)) / (2 * size))
    matrix = np.sqrt(2.0 ** (2 * _BITS + 1) / size) * cosine
    matrix[0] = np.sqrt(2.0 ** (2 * _BITS) / size)
    return np.rint(matrix)


@lru_cache(maxsize=256)
def norm(size: int) -> float:
    """The largest L1 norm of what one value is summed from."""
    return float(np.abs(basis(size)).sum(0).max(initial=0))
