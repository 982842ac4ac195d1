"""The file of coded inputs: its codec, one packet per sample, each with its CRC-32. Its size is the rate."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lamofc import varint
from lamofc.errors import BitstreamError

SUFFIX = ".lmin"
MAGIC, VERSION = b"LMIN", 1
MAX_HEADER = 1 << 16
_PREFIX = struct.Struct("<4sBH")  # magic, version, length of the header's JSON
_CRC = struct.Struct("<I")


def write(path: Path, codec: Mapping[str, Any], packets: Iterable[bytes]) -> None:
    """Prefix, JSON, CRC-32; per sample varint length, packet, CRC-32 of it and its number; varint 0 and CRC-32 of the
    number of samples. The file appears under its name only when it is whole."""
    path = Path(path)
    text = json.dumps(codec, sort_keys=True, separators=(",", ":")).encode()
    head = _PREFIX.pack(MAGIC, VERSION, len(text)) + text
    partial, count = path.with_name(f".{path.name}.{os.getpid()}.partial"), 0
    with open(partial, "wb") as file:
        file.write(head + _CRC.pack(zlib.crc32(head)))
        for count, data in enumerate(packets, 1):
            file.write(varint.put(len(data)) + data + _CRC.pack(zlib.crc32(data, count)))
        file.write(varint.put(0) + _CRC.pack(zlib.crc32(b"", count)))
        os.fsync(file.fileno())
    os.replace(partial, path)


def read(path: Path) -> tuple[dict[str, Any], Iterator[bytes]]:
    """-> the codec's entry and the packets, each checked before it is given out; BitstreamError names the file."""
    data = Path(path).read_bytes()
    try:
        magic, version, length = _PREFIX.unpack_from(data)
        end = _PREFIX.size + length
        if magic != MAGIC or version != VERSION or zlib.crc32(data[:end]) != _CRC.unpack_from(data, end)[0]:
            raise BitstreamError("not coded inputs, of an unknown version, or damaged in the header")
        codec = json.loads(data[_PREFIX.size : end])
    except (BitstreamError, struct.error, ValueError) as error:
        raise BitstreamError(f"{path}: {error}") from error
    return codec, _packets(path, data, end + _CRC.size)


def _packets(path: Path, data: bytes, at: int) -> Iterator[bytes]:
    count, size = 0, 1
    while size:
        try:
            size, at = varint.take(data, at)
            packet, at = data[at : at + size], at + size
            count += size > 0
            if zlib.crc32(packet, count) != _CRC.unpack_from(data, at)[0]:
                raise BitstreamError(f"packet {count} does not fit its CRC-32")
            at += _CRC.size
            if not size and at != len(data):
                raise BitstreamError("bytes after the end")
        except (BitstreamError, struct.error) as error:
            raise BitstreamError(f"{path}: damaged or cut off: {error}") from error
        if size:
            yield packet
