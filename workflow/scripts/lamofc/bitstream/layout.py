"""What writer and reader share: the header, the structures around the packets, how much a packet may claim."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from lamofc.errors import BitstreamError
from lamofc.interfaces import TensorSpec

MAGIC = b"LMFC"
END_MAGIC = b"CFML"
VERSION = 1
MAX_HEADER = 1 << 24
MAX_SAMPLE_ELEMENTS = 1 << 31
SMALL_SAMPLE = 1 << 26  # elements that a packet of any size may claim
ELEMENTS_PER_BYTE = 1 << 16  # and how many more per byte of the packet
PREFIX = struct.Struct("<4sBII")  # magic, version, compressed and raw length of the header
CRC = struct.Struct("<I")
FOOTER = struct.Struct("<QIII4s")  # index offset, index length, samples, CRC-32 of index + these three, end magic


def claimable(sections: Sequence[bytes]) -> int:
    return SMALL_SAMPLE + ELEMENTS_PER_BYTE * sum(map(len, sections))


def pack_header(header: Mapping[str, Any]) -> bytes:
    raw = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    body = zlib.compress(raw, 9)
    data = PREFIX.pack(MAGIC, VERSION, len(body), len(raw)) + body
    return data + CRC.pack(zlib.crc32(data))


def unpack_header(data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < PREFIX.size or data[:4] != MAGIC:
        raise BitstreamError("not an LMFC bitstream (wrong magic)")
    _, version, packed, raw = PREFIX.unpack_from(data)
    if version != VERSION:
        raise BitstreamError(f"version {version} is unknown; this software reads version {VERSION}")
    end = PREFIX.size + packed
    if max(packed, raw) > MAX_HEADER or len(data) < end + CRC.size:
        raise BitstreamError("header is cut off or larger than allowed")
    if zlib.crc32(data[:end]) != CRC.unpack_from(data, end)[0]:
        raise BitstreamError("header does not fit its CRC-32")
    body = zlib.decompressobj().decompress(data[PREFIX.size : end], raw + 1)
    if len(body) != raw:
        raise BitstreamError("header is not as long as it says")
    header = json.loads(body)
    types = {"assets": dict, "codec": dict, "sections": list, "tensors": list}
    if not isinstance(header, dict) or {k: type(v) for k, v in header.items()} != types:
        raise BitstreamError(f"header does not hold {', '.join(types)} alone")
    return header, end + CRC.size


def spec_to_json(spec: TensorSpec) -> dict[str, Any]:
    fields = {"name": spec.name, "kind": spec.kind, "dtype": spec.dtype, "shape": list(spec.shape)}
    if spec.layer is not None:
        fields["layer"] = spec.layer
    return fields | ({"attributes": spec.attributes} if spec.attributes else {})


def spec_from_json(fields: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(fields["shape"])
    if not all(n is None or (type(n) is int and n >= 0) for n in shape):
        raise BitstreamError(f"tensor {fields['name']!r} has shape {shape}")
    return TensorSpec(**{**fields, "shape": shape})
