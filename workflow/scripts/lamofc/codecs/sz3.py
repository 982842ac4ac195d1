"""SZ3 with an absolute error bound."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from imagecodecs import sz3_decode, sz3_encode

from lamofc import interfaces
from lamofc.dtypes import from_float32, to_float32
from lamofc.errors import BitstreamError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.isolated import Isolated
from lamofc.quantisers import reference
from lamofc.transforms import rows

_LIMIT = float(np.finfo(np.float32).max)
_MEMORY = 1 << 29


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """SZ3 (Liang et al. 2022): prediction by interpolation, error-bounded quantiser, Huffman and zstd.

    SZ3 takes no 16-bit floats: they are widened to float32 exactly and rounded back. Its decoder ends the process on
    malformed bytes, so it runs in one of its own.

    bound: largest absolute error, the knob, in units of the tensor's typical RMS; half an ulp of a 16-bit native
        dtype comes on top.
    """

    knob: ClassVar[str] = "bound"
    family: ClassVar[str] = "scientific"

    bound: float = 0.1

    def __post_init__(self) -> None:
        if not 1e-6 <= self.bound <= 1e3:
            raise ValueError(f"bound {self.bound} is outside 1e-6 .. 1000")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs)


class Coder:
    """One section per tensor; all tensors of a sample are decoded in one isolated call."""

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        self.codec, self.specs = codec, list(specs)
        self.sections = [s.name for s in specs]
        self._decode = Isolated("lamofc.codecs.sz3:decode_streams")

    def encode(self, sample: Sample) -> list[bytes]:
        return [self._encode(sample[s.name], s) for s in self.specs]

    def _encode(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        if not array.size:
            return b""
        bound = reference.typical_rms(rows.to_rows(array, spec)) * self.codec.bound
        wide = np.ascontiguousarray(to_float32(array).reshape(_plain(array.shape)))
        return sz3_encode(wide, mode="abs", abs=bound)

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        full = [(s, data) for s, data in zip(self.specs, sections, strict=True) if np.prod(shapes[s.name])]
        counts = [int(np.prod(shapes[s.name], dtype=np.int64)) for s, _ in full]
        values = self._values([data for _, data in full], [_plain(shapes[s.name]) for s, _ in full], sum(counts))
        parts = (
            dict(zip([s.name for s, _ in full], np.split(values, np.cumsum(counts)[:-1]), strict=True)) if full else {}
        )
        empty = np.zeros(0, np.float32)
        return {s.name: _native(parts.get(s.name, empty), s, shapes[s.name]) for s in self.specs}

    def _values(self, streams: list[bytes], shapes: list[tuple[int, ...]], count: int) -> np.ndarray:
        if not streams:
            return np.zeros(0, np.float32)
        answer = self._decode(_request(streams, shapes), _MEMORY + 64 * count)
        if len(answer) != 4 * count:
            raise BitstreamError(f"SZ3 decodes to {len(answer)} bytes, not to {4 * count}")
        return np.frombuffer(answer, "<f4")


def decode_streams(request: bytes) -> bytes:
    """What runs in a process of its own: streams and their shapes -> their float32 values, joined."""
    (count,) = struct.unpack_from("<I", request)
    at, out = 4 + 20 * count, []
    for k in range(count):
        size, dimensions, *shape = struct.unpack_from("<5I", request, 4 + 20 * k)
        out.append(sz3_decode(request[at : at + size], tuple(shape[:dimensions]), np.float32))
        at += size
    return b"".join(np.ascontiguousarray(part, "<f4").tobytes() for part in out)


def _request(streams: list[bytes], shapes: list[tuple[int, ...]]) -> bytes:
    heads = [struct.pack("<5I", len(s), len(n), *n, *[0] * (3 - len(n))) for s, n in zip(streams, shapes, strict=True)]
    return struct.pack("<I", len(streams)) + b"".join(heads) + b"".join(streams)


def _plain(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of length 1, over which SZ3 cannot predict."""
    return tuple(n for n in shape if n > 1) or (1,)


def _native(values: np.ndarray, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    return from_float32(np.clip(np.nan_to_num(values), -_LIMIT, _LIMIT).reshape(shape), spec.dtype)
