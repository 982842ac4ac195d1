"""Reading a bitstream."""

from __future__ import annotations

import math
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc import codecs, features, packet
from lamofc.bitstream.layout import (
    CRC,
    END_MAGIC,
    FOOTER,
    MAX_HEADER,
    MAX_SAMPLE_ELEMENTS,
    PREFIX,
    claimable,
    spec_from_json,
    unpack_header,
)
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, Coder, Sample, TensorSpec
from lamofc.threads import one_thread


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
        with self._named(f"packet {index}"), one_thread():
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
        limit = min(self.max_elements, claimable(found.sections))
        if total > limit or max(found.lengths, default=0) > limit:
            raise BitstreamError(f"sample claims {total} elements, more than the {limit} it may")
        return shapes

    def _read_header(self) -> tuple[dict[str, Any], int]:
        with self._named("header"):
            prefix = self._read(0, PREFIX.size)
            packed = PREFIX.unpack(prefix)[2] if len(prefix) == PREFIX.size else 0
            return unpack_header(self._read(0, PREFIX.size + min(packed, MAX_HEADER) + CRC.size))

    def _read(self, start: int, stop: int) -> bytes:
        """Bytes start .. stop-1 of the file: packets are read when they are wanted, so that memory stays flat."""
        return os.pread(self._file.fileno(), max(0, int(stop) - int(start)), int(start))

    def _read_specs(self) -> tuple[TensorSpec, ...]:
        with self._named("header"):
            specs = tuple(spec_from_json(t) for t in self.header["tensors"])
            if len({s.name for s in specs}) != len(specs):
                raise BitstreamError("two tensors have the same name")
            return specs

    def _read_index(self) -> np.ndarray:
        with self._named("index"):
            if self._size < self._start + FOOTER.size:
                raise BitstreamError("file ends before its index: it was cut off")
            end = self._size - FOOTER.size
            footer = self._read(end, self._size)
            offset, length, count, crc, magic = FOOTER.unpack(footer)
            if magic != END_MAGIC or offset + length != end or offset < self._start:
                raise BitstreamError("no index at the end: the file was cut off or changed")
            index = self._read(offset, end)
            if zlib.crc32(index + footer[: -CRC.size - len(END_MAGIC)]) != crc:
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
        with self._named("header"), one_thread():
            coder = codecs.coder(codecs.unnamed(self.header["codec"]), self.specs, assets)
            if self.sections not in (list(coder.sections), getattr(coder, "earlier_sections", None)):
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
