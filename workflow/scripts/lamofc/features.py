"""Checks every sample passes before a codec or a store takes it, and sums over samples."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from lamofc.dtypes import dtype_name, to_bits, to_float32
from lamofc.errors import FeatureError
from lamofc.interfaces import Sample, TensorSpec


def check(sample: Sample, specs: Sequence[TensorSpec], name: str = "sample") -> None:
    """Raise FeatureError unless names, dtypes and shapes fit the specs and every value is finite."""
    expected = [s.name for s in specs]
    if sorted(sample) != sorted(expected):
        raise FeatureError(f"{name}: tensors {sorted(sample)} where {sorted(expected)} are expected")
    for spec in specs:
        _check_tensor(sample[spec.name], spec, name)


def _check_tensor(array: np.ndarray, spec: TensorSpec, name: str) -> None:
    where = f"{name}, tensor {spec.name}"
    if dtype_name(array) != spec.dtype:
        raise FeatureError(f"{where}: dtype {array.dtype} where {spec.dtype} is expected")
    fits = array.ndim == len(spec.shape) and all(
        want in (None, have) for want, have in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        raise FeatureError(f"{where}: shape {array.shape} where {spec.shape} is expected (None: any length)")
    bad = array.size - int(np.count_nonzero(np.isfinite(to_float32(array))))
    if bad:
        raise FeatureError(
            f"{where}: {bad} of {array.size} values are NaN or infinite; "
            "features must be finite, check the model's dtype and inputs"
        )


def lengths(sample: Sample, specs: Sequence[TensorSpec]) -> list[int]:
    """Length of the ragged axis of each tensor that has one, in spec order."""
    return [sample[s.name].shape[s.ragged_axis] for s in specs if s.ragged_axis is not None]


def elements(sample: Sample) -> int:
    """Feature points of a sample, over all its tensors."""
    return sum(a.size for a in sample.values())


def checksum(sample: Sample, specs: Sequence[TensorSpec]) -> int:
    """CRC-32 over the native bytes of all tensors in spec order."""
    crc = 0
    for spec in specs:
        crc = zlib.crc32(to_bits(sample[spec.name]).data, crc)
    return crc
