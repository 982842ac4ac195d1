"""Bytes of floats by significance, the sign moved behind the mantissa so that exponents fill a byte of their own.

The split that ZipNN (Hershcovitch et al. 2024) and DFloat11 (Zhang et al. 2025) build on: exponents compress, the rest
hardly does.
"""

from __future__ import annotations

import numpy as np

from lamofc.dtypes import from_bits, numpy_dtype, to_bits


def split(array: np.ndarray) -> np.ndarray:
    """Native dtype, any shape -> (bytes per element, size) uint8, exponents first."""
    bits = to_bits(array).ravel()
    top = 8 * bits.itemsize - 1
    rotated = (bits << bits.dtype.type(1)) | (bits >> bits.dtype.type(top))
    return np.ascontiguousarray(rotated.astype(f">u{bits.itemsize}").view(np.uint8).reshape(-1, bits.itemsize).T)


def merge(planes: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `split`."""
    width = numpy_dtype(dtype).itemsize
    rotated = np.ascontiguousarray(planes.T).view(f">u{width}").ravel().astype(f"<u{width}")
    top = rotated.dtype.type(8 * width - 1)
    bits = (rotated >> rotated.dtype.type(1)) | (rotated << top)
    return from_bits(bits, dtype).reshape(shape)
