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


def inverse(symbols: np.ndarray, layout: Layout, gains: np.ndarray) -> np.ndarray:
    """Integers (dimension, count) int32 -> the inverse DCT of every block times the gains of columns.

    Integers in float64, rounded once for each axis.
    """
    if layout.size == 1 or not layout.body:
        out = symbols * gains
        return np.rint(out, out=out)
    start, end = layout.count - layout.body, layout.count - layout.body % layout.size
    out = np.empty(symbols.shape)
    np.multiply(symbols[:, :start], gains[:start], out=out[:, :start])
    for block, a, b in ((layout.block, start, end), ((1, layout.count - end), end, layout.count)):
        if a < b:
            np.multiply(_blocks(symbols[:, a:b], block), gains[a:b], out=out[:, a:b])
    return np.rint(out, out=out)


def _blocks(symbols: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """Inverse DCT of neighbouring blocks; an exact integer times a power of two."""
    rows, columns = block
    cube, dropped = exact.bounded(
        np.ascontiguousarray(symbols, np.float64).reshape(-1, columns), norm(columns), 2.0**31
    )
    cube = exact.product(cube, basis(columns))
    if rows == 1:
        return (cube * 2.0 ** (dropped - _BITS)).reshape(symbols.shape)
    cube *= 2.0 ** (dropped + FRACTION - _BITS)
    cube, dropped = exact.bounded(np.rint(cube, out=cube), norm(rows))
    cube = exact.product(basis(rows).T, cube.reshape(-1, rows, columns))
    cube *= 2.0 ** (dropped - FRACTION - _BITS)
    return cube.reshape(symbols.shape)


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
