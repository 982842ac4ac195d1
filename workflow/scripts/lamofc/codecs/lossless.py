"""Lossless coders: the floor that every lossy arm must undercut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numcodecs.zstd
import numpy as np
import pcodec
from pcodec import standalone

from lamofc import interfaces
from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.dtypes import from_bits, numpy_dtype, to_bits
from lamofc.entropy import histogram, planes
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError
from lamofc.interfaces import Assets, TensorSpec

_ZSTD_LEVEL = 9


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """method: the knob, a ladder of one point.

    "zstd": the bytes as they are under Zstandard.
    "byteplane": bytes by significance, each plane under its own static rANS table (ZipNN, Hershcovitch et al. 2024;
        DFloat11, Zhang et al. 2025): exponents shrink, mantissas do not.
    "pcodec": binned numbers under tANS (Loncaric et al. 2025); bfloat16 as integers of the same order.
    """

    knob: ClassVar[str] = "method"
    family: ClassVar[str] = "reference"
    lossless: ClassVar[bool] = True

    method: str = "byteplane"

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise ValueError(f"method {self.method!r} is none of {', '.join(_METHODS)}")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(specs, *_METHODS[self.method])


class Coder(PerTensorCoder):
    def __init__(self, specs: Sequence[TensorSpec], encode: Callable, decode: Callable) -> None:
        super().__init__(specs)
        self._encode, self._decode = encode, decode

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        return self._encode(array) if array.size else b""

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        if 0 in shape:
            if data:
                raise BitstreamError(f"{spec.name}: bytes for a tensor without values")
            return np.empty(shape, numpy_dtype(spec.dtype))
        return self._decode(data, spec.dtype, shape)


def _zstd_encode(array: np.ndarray) -> bytes:
    return numcodecs.zstd.compress(to_bits(array).ravel(), _ZSTD_LEVEL)


def _zstd_decode(data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    width = numpy_dtype(dtype).itemsize
    out = np.zeros(int(np.prod(shape)), f"<u{width}")
    if zstd_size(data) != out.nbytes:
        raise BitstreamError(f"zstd frame does not make {shape} of {dtype}")
    numcodecs.zstd.decompress(data, out)
    return from_bits(out, dtype).reshape(shape)


def zstd_size(data: bytes) -> int:
    """Decompressed size that a single-segment zstd frame declares (RFC 8878), -1 for other frames."""
    if len(data) < 6 or data[:4] != b"\x28\xb5\x2f\xfd" or not data[4] & 0x20:
        return -1
    width = (1, 2, 4, 8)[data[4] >> 6]
    return int.from_bytes(data[5 : 5 + width], "little") + (256 if width == 2 else 0)


def _byteplane_encode(array: np.ndarray) -> bytes:
    encoder = Encoder()
    for plane in planes.split(array):
        histogram.put(encoder, plane, 256)
    return encoder.bytes()


def _byteplane_decode(data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    decoder, count = Decoder(data), int(np.prod(shape))
    found = [histogram.take(decoder, count, 256).astype(np.uint8) for _ in range(numpy_dtype(dtype).itemsize)]
    decoder.close()
    return planes.merge(np.stack(found), dtype, shape)


def _pcodec_encode(array: np.ndarray) -> bytes:
    return standalone.simple_compress(_ordered(array).ravel(), pcodec.ChunkConfig())


def _pcodec_decode(data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(int(np.prod(shape)), np.uint16 if dtype == "bfloat16" else numpy_dtype(dtype))
    progress = standalone.simple_decompress_into(data, out)
    if not progress.finished or progress.n_processed != out.size:
        raise BitstreamError(f"pcodec bytes do not make {shape} of {dtype}")
    return _unordered(out, dtype).reshape(shape)


def _ordered(array: np.ndarray) -> np.ndarray:
    """bfloat16 -> uint16 of the same order; other dtypes as they are."""
    if array.dtype.kind == "f":
        return array
    bits = to_bits(array)
    return np.where(bits >> 15, ~bits, bits | np.uint16(0x8000))


def _unordered(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype != "bfloat16":
        return values
    return from_bits(np.where(values >> 15, values & np.uint16(0x7FFF), ~values), dtype)


_METHODS = {
    "zstd": (_zstd_encode, _zstd_decode),
    "byteplane": (_byteplane_encode, _byteplane_decode),
    "pcodec": (_pcodec_encode, _pcodec_decode),
}
