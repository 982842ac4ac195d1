"""The bitstream file: one per operating point, one packet per sample, random access, checked.

The byte layout is specified in docs/bitstream.md; keep the two in step.
"""

from __future__ import annotations

import json
import math
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_limits

from lamofc import codecs, features, packet
from lamofc.errors import BitstreamError, ConfigError, FeatureError
from lamofc.interfaces import Assets, Coder, Sample, TensorSpec
from lamofc.whole import partial_name

MAGIC = b"LMFC"
END_MAGIC = b"CFML"
VERSION = 1
MAX_HEADER = 1 << 24
MAX_SAMPLE_ELEMENTS = 1 << 31
SMALL_SAMPLE = 1 << 26  # elements that a packet of any size may claim
ELEMENTS_PER_BYTE = 1 << 16  # and how many more per byte of the packet
_PREFIX = struct.Struct("<4sBII")  # magic, version, compressed and raw length of the header
_CRC = struct.Struct("<I")
_FOOTER = struct.Struct("<QIII4s")  # index offset, index length, samples, CRC-32 of index + these three, end magic


class BitstreamWriter:
    """Write samples of one stream; the file appears under its name only when it is whole.

    `codec` is an entry as in config/codecs.yaml at one point: {"codec": name, "parameters": {...}}, with an
    optional "fallback" of the same form. `asset_hashes` maps asset file names to sha256.
    """

    def __init__(
        self,
        path: Path,
        codec: Mapping[str, Any],
        specs: Sequence[TensorSpec],
        assets: Assets,
        asset_hashes: Mapping[str, str],
    ) -> None:
        self.path, self.specs = Path(path), tuple(specs)
        with threadpool_limits(1):
            self.coder: Coder = codecs.coder(codec, self.specs, assets)
        self._pools = ThreadpoolController()  # looking for the libraries again for every packet takes a millisecond
        self.encode_seconds = 0.0
        self._lengths: list[int] = []
        self._partial = partial_name(self.path)
        self._file = open(self._partial, "wb")  # noqa: SIM115
        header = {
            "codec": codec,
            "assets": dict(asset_hashes),
            "tensors": [_spec_to_json(s) for s in self.specs],
            "sections": list(self.coder.sections),
        }
        self._file.write(_pack_header(header))

    def add(self, sample: Sample, name: str = "sample") -> int:
        """Encode one sample, decode it again for its checksum, append the packet; returns its bytes."""
        features.check(sample, self.specs, name)
        shapes = {s.name: sample[s.name].shape for s in self.specs}
        with self._pools.limit(limits=1):
            start = time.perf_counter()
            sections = self.coder.encode(sample)
            self.encode_seconds += time.perf_counter() - start
            decoded = self.coder.decode(sections, shapes)
        features.check(decoded, self.specs, f"{name} as decoded")
        if features.elements(sample) > min(MAX_SAMPLE_ELEMENTS, _claimable(sections)):
            raise FeatureError(
                f"{name}: {features.elements(sample)} elements are too many for one packet; split the sample"
            )
        data = packet.pack(
            len(self._lengths), features.lengths(sample, self.specs), sections, features.checksum(decoded, self.specs)
        )
        self._file.write(data)
        self._lengths.append(len(data))
        return len(data)

    def close(self) -> None:
        """Write the index and give the file its name."""
        index = packet.pack_index(self._lengths)
        head = struct.pack("<QII", self._file.tell(), len(index), len(self._lengths))
        self._file.write(index + head + _CRC.pack(zlib.crc32(index + head)) + END_MAGIC)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._partial, self.path)

    def __enter__(self) -> BitstreamWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
            self._partial.unlink(missing_ok=True)


class BitstreamReader:
    """Read a bitstream with its assets. Every refusal is a BitstreamError that names the file.

    `max_elements` bounds what one sample may claim, before anything is allocated for it: lower it where
    files come from strangers.
    """

    def __init__(
        self,
        path: Path,
        assets: Assets | None = None,
        asset_hashes: Mapping[str, str] | None = None,
        max_elements: int = MAX_SAMPLE_ELEMENTS,
    ) -> None:
        self.path, self.max_elements = Path(path), max_elements
        self._file = open(self.path, "rb")  # noqa: SIM115
        self._size = os.fstat(self._file.fileno()).st_size
        self.header, self._start = self._read_header()
        self.specs = self._read_specs()
        self._offsets = self._read_index()
        self.sections: list[str] = self.header["sections"]
        self._coder: Coder | None = None
        if assets is not None:
            self._check_hashes(asset_hashes or {})
            self._coder = self._make_coder(assets)
            self._pools = ThreadpoolController()
        self.decode_seconds = 0.0

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def packet(self, index: int) -> packet.Packet:
        """The packet of one sample, CRC verified, not decoded."""
        start, stop = self._offsets[index], self._offsets[index + 1]
        ragged = sum(s.ragged_axis is not None for s in self.specs)
        with self._named(f"packet {index}"):
            return packet.unpack(index, self._read(start, stop), ragged, len(self.sections))

    def packet_bytes(self, index: int) -> int:
        """Bytes of a packet, framing included."""
        return int(self._offsets[index + 1] - self._offsets[index])

    @property
    def header_bytes(self) -> int:
        return self._start

    @property
    def index_bytes(self) -> int:
        """Bytes of the index and the footer."""
        return self._size - int(self._offsets[-1])

    def shapes(self, index: int) -> dict[str, tuple[int, ...]]:
        """Natural shapes of one sample's tensors, from its packet."""
        with self._named(f"packet {index}"):
            return self._shapes(self.packet(index))

    def decode(self, index: int) -> Sample:
        """Decode one sample and verify the checksum of its reconstruction."""
        if self._coder is None:
            raise BitstreamError(f"{self.path}: opened without assets; pass assets={{}} if the codec needs none")
        found = self.packet(index)
        with self._named(f"packet {index}"), self._pools.limit(limits=1):
            shapes = self._shapes(found)
            start = time.perf_counter()
            sample = self._coder.decode(found.sections, shapes)
            self.decode_seconds += time.perf_counter() - start
        if features.checksum(sample, self.specs) != found.checksum:
            raise BitstreamError(
                f"{self.path}: packet {index} is intact but decodes to other values than its encoder's; "
                "the assets or the numeric libraries of this machine differ from the encoder's (docs/bitstream.md)"
            )
        return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self.decode(i) for i in range(len(self)))

    def _shapes(self, found: packet.Packet) -> dict[str, tuple[int, ...]]:
        ragged = iter(found.lengths)
        shapes = {s.name: s.resolve(next(ragged) if s.ragged_axis is not None else 0) for s in self.specs}
        total = sum(math.prod(shape) for shape in shapes.values())
        limit = min(self.max_elements, _claimable(found.sections))
        if total > limit or max(found.lengths, default=0) > limit:
            raise BitstreamError(f"sample claims {total} elements, more than the {limit} it may")
        return shapes

    def _read_header(self) -> tuple[dict[str, Any], int]:
        with self._named("header"):
            prefix = self._read(0, _PREFIX.size)
            packed = _PREFIX.unpack(prefix)[2] if len(prefix) == _PREFIX.size else 0
            return _unpack_header(self._read(0, _PREFIX.size + min(packed, MAX_HEADER) + _CRC.size))

    def _read(self, start: int, stop: int) -> bytes:
        """Bytes start .. stop-1 of the file: packets are read when they are wanted, so that memory stays flat."""
        return os.pread(self._file.fileno(), max(0, int(stop) - int(start)), int(start))

    def _read_specs(self) -> tuple[TensorSpec, ...]:
        with self._named("header"):
            specs = tuple(_spec_from_json(t) for t in self.header["tensors"])
            if len({s.name for s in specs}) != len(specs):
                raise BitstreamError("two tensors have the same name")
            return specs

    def _read_index(self) -> np.ndarray:
        with self._named("index"):
            if self._size < self._start + _FOOTER.size:
                raise BitstreamError("file ends before its index: it was cut off")
            end = self._size - _FOOTER.size
            footer = self._read(end, self._size)
            offset, length, count, crc, magic = _FOOTER.unpack(footer)
            if magic != END_MAGIC or offset + length != end or offset < self._start:
                raise BitstreamError("no index at the end: the file was cut off or changed")
            index = self._read(offset, end)
            if zlib.crc32(index + footer[: -_CRC.size - len(END_MAGIC)]) != crc:
                raise BitstreamError("the index does not fit its CRC-32")
            offsets = self._start + packet.unpack_index(index, count)
            if offsets[-1] != offset:
                raise BitstreamError("packet lengths do not fill the file")
            return offsets

    def _check_hashes(self, have: Mapping[str, str]) -> None:
        for name, wanted in self.header["assets"].items():
            if have.get(name) != wanted:
                raise BitstreamError(
                    f"{self.path}: needs asset {name} with sha256 {wanted}, got {have.get(name, 'none')}"
                )

    def _make_coder(self, assets: Assets) -> Coder:
        with self._named("header"), threadpool_limits(1):
            coder = codecs.coder(self.header["codec"], self.specs, assets)
            if list(coder.sections) != self.sections:
                raise BitstreamError("sections differ from those this version of the codec writes")
            return coder

    def _named(self, part: str) -> _Named:
        return _Named(self.path, part)


class _Named:
    """Turn whatever malformed bytes provoke into one BitstreamError that names file and part."""

    _PROVOKED = (BitstreamError, ConfigError, ValueError, KeyError, IndexError, TypeError, AttributeError,
                 OverflowError, ArithmeticError, RuntimeError, AssertionError, MemoryError, struct.error,
                 zlib.error)  # fmt: skip

    def __init__(self, path: Path, part: str) -> None:
        self.path, self.part = path, part

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, self._PROVOKED):
            raise BitstreamError(f"{self.path}: {self.part}: {error}") from error


def _claimable(sections: Sequence[bytes]) -> int:
    return SMALL_SAMPLE + ELEMENTS_PER_BYTE * sum(map(len, sections))


def _pack_header(header: Mapping[str, Any]) -> bytes:
    raw = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    body = zlib.compress(raw, 9)
    data = _PREFIX.pack(MAGIC, VERSION, len(body), len(raw)) + body
    return data + _CRC.pack(zlib.crc32(data))


def _unpack_header(data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < _PREFIX.size or data[:4] != MAGIC:
        raise BitstreamError("not an LMFC bitstream (wrong magic)")
    _, version, packed, raw = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise BitstreamError(f"version {version} is unknown; this software reads version {VERSION}")
    end = _PREFIX.size + packed
    if max(packed, raw) > MAX_HEADER or len(data) < end + _CRC.size:
        raise BitstreamError("header is cut off or larger than allowed")
    if zlib.crc32(data[:end]) != _CRC.unpack_from(data, end)[0]:
        raise BitstreamError("header does not fit its CRC-32")
    body = zlib.decompressobj().decompress(data[_PREFIX.size : end], raw + 1)
    if len(body) != raw:
        raise BitstreamError("header is not as long as it says")
    header = json.loads(body)
    types = {"assets": dict, "codec": dict, "sections": list, "tensors": list}
    if not isinstance(header, dict) or {k: type(v) for k, v in header.items()} != types:
        raise BitstreamError(f"header does not hold {', '.join(types)} alone")
    return header, end + _CRC.size


def _spec_to_json(spec: TensorSpec) -> dict[str, Any]:
    fields = {"name": spec.name, "kind": spec.kind, "dtype": spec.dtype, "shape": list(spec.shape)}
    if spec.layer is not None:
        fields["layer"] = spec.layer
    return fields | ({"attributes": spec.attributes} if spec.attributes else {})


def _spec_from_json(fields: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(fields["shape"])
    if not all(n is None or (type(n) is int and n >= 0) for n in shape):
        raise BitstreamError(f"tensor {fields['name']!r} has shape {shape}")
    return TensorSpec(**{**fields, "shape": shape})
