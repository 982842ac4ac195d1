"""Native dtypes, bfloat16 included: names, numpy dtypes, and storage as plain integers."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from lamofc.errors import FeatureError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_DTYPES = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2"), "bfloat16": BFLOAT16}


def numpy_dtype(name: str) -> np.dtype:
    """The numpy dtype of a native dtype's name."""
    return _DTYPES[name]


def dtype_name(array: np.ndarray) -> str:
    """The native dtype's name of an array; FeatureError if it is none."""
    for name, dtype in _DTYPES.items():
        if array.dtype == dtype:
            return name
    raise FeatureError(f"dtype {array.dtype} is none of {', '.join(_DTYPES)}")


def bits_of(name: str) -> int:
    """Bits of one element of a native dtype."""
    return 8 * _DTYPES[name].itemsize


def to_bits(array: np.ndarray) -> np.ndarray:
    """The same bytes as unsigned integers (uint16 or uint32), without a copy."""
    return np.ascontiguousarray(array).view({2: np.uint16, 4: np.uint32}[array.dtype.itemsize])


def from_bits(bits: np.ndarray, name: str) -> np.ndarray:
    """Inverse of `to_bits`."""
    return bits.view(_DTYPES[name])


def to_float32(array: np.ndarray) -> np.ndarray:
    """Exact widening of any native dtype."""
    return array.astype(np.float32)


def from_float32(array: np.ndarray, name: str) -> np.ndarray:
    """Round to nearest even into a native dtype, clipped to its finite range."""
    dtype = _DTYPES[name]
    if name == "float32":
        return np.asarray(array, np.float32, order="C")
    limit = float(ml_dtypes.finfo(dtype).max)
    return np.clip(array, -limit, limit).astype(dtype)
