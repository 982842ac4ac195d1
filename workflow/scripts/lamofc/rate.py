"""Rates are sizes of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lamofc.dtypes import bits_of
from lamofc.store import FeatureReader


def columns(bitstream: Path, store: FeatureReader, asset_bytes: int, side_bytes: int) -> dict[str, Any]:
    """n, elements, bytes (of the file), bpfp = 8 bytes / elements, and ebpfp, the same in 32-bit equivalents.

    EBPFP scales the bits of each tensor by 32 / (bits of its dtype); with one file per point the file's bits
    are shared out by elements, which is exact when all tensors have one dtype.
    """
    size, elements = bitstream.stat().st_size, store.elements()
    bpfp = 8 * size / elements
    return {
        "n": len(store),
        "elements": elements,
        "bytes": size,
        "side_bytes": side_bytes,
        "asset_bytes": asset_bytes,
        "bpfp": bpfp,
        "ebpfp": bpfp * _mean_scale(store),
        "ratio": native_bytes(store) / size,
    }


def _mean_scale(store: FeatureReader) -> float:
    sizes = store.elements_by_tensor()
    scales = np.array([32 / bits_of(s.dtype) for s in store.specs])
    return float((scales * sizes).sum() / sizes.sum())


def native_bytes(store: FeatureReader) -> int:
    """Bytes of all features in their native dtypes."""
    return int(sum(n * bits_of(s.dtype) // 8 for s, n in zip(store.specs, store.elements_by_tensor(), strict=True)))


def speeds(store: FeatureReader, encode_seconds: float, decode_seconds: float) -> dict[str, float]:
    """MB/s (10^6 bytes) of native features through encoder and decoder, one thread."""
    size = native_bytes(store) / 1e6
    return {"encode_mbps": size / max(encode_seconds, 1e-9), "decode_mbps": size / max(decode_seconds, 1e-9)}
