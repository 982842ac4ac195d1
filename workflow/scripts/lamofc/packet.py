"""One packet: the coded sections of one sample, with its lengths, CRC and reconstruction checksum."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from lamofc import varint
from lamofc.errors import BitstreamError

_TAIL = struct.Struct("<II")  # checksum of the reconstruction, CRC-32 of the packet before this field


@dataclass(frozen=True)
class Packet:
    """lengths: ragged axis of each ragged tensor; sections: payloads; checksum: CRC-32 of the decoded sample."""

    lengths: tuple[int, ...]
    sections: tuple[bytes, ...]
    checksum: int


def pack(index: int, lengths: Sequence[int], sections: Sequence[bytes], checksum: int) -> bytes:
    """Serialise; `index` enters the CRC so that packets cannot change places unnoticed."""
    equal = len(set(lengths)) <= 1
    head = varint.put(int(equal)) + b"".join(varint.put(n) for n in (lengths[:1] if equal else lengths))
    head += b"".join(varint.put(len(s)) for s in sections)
    data = head + b"".join(sections) + struct.pack("<I", checksum)
    return data + struct.pack("<I", zlib.crc32(data, index))


def unpack(index: int, data: bytes, ragged: int, sections: int) -> Packet:
    """Inverse of `pack` for a stream with `ragged` ragged tensors and `sections` sections."""
    if len(data) < _TAIL.size:
        raise BitstreamError("packet is cut off")
    checksum, crc = _TAIL.unpack_from(data, len(data) - _TAIL.size)
    if zlib.crc32(data[:-4], index) != crc:
        raise BitstreamError("packet does not fit its CRC-32")
    equal, at = varint.take(data, 0)
    if equal > 1:
        raise BitstreamError(f"packet starts with {equal} where 0 or 1 is expected")
    lengths, at = _take_many(data, at, min(ragged, 1) if equal else ragged)
    sizes, at = _take_many(data, at, sections)
    ends = list(accumulate(sizes, initial=at))
    if ends[-1] != len(data) - _TAIL.size:
        raise BitstreamError("section lengths do not fill the packet")
    payloads = tuple(data[a:b] for a, b in pairwise(ends))
    return Packet(tuple(lengths * ragged if equal else lengths), payloads, checksum)


def _take_many(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    values = []
    for _ in range(count):
        value, at = varint.take(data, at)
        values.append(value)
    return values, at


def pack_index(lengths: Sequence[int]) -> bytes:
    """Packet lengths of a file, in order."""
    return b"".join(varint.put(n) for n in lengths)


def unpack_index(data: bytes, count: int) -> np.ndarray:
    """-> offsets of the packets from the first one, count + 1 of them."""
    if count > len(data):
        raise BitstreamError(f"index of {len(data)} bytes claims {count} packets")
    lengths, at = _take_many(data, 0, count)
    if at != len(data) or sum(lengths) > varint.MAX_VALUE:
        raise BitstreamError("index does not hold one length per packet")
    return np.cumsum([0, *lengths], dtype=np.int64)
