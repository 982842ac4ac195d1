"""Mutated bitstream files: damage as it happens, and forgeries whose checksums fit."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamofc import packet
from lamofc.bitstream import layout

HUGE = (0, 1, 2, 127, 128, 255, 256, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1)


@dataclass(frozen=True)
class Parts:
    """A file with one packet, taken apart: what forgeries change."""

    head: bytes
    header: str
    lengths: tuple[int, ...]
    sections: tuple[bytes, ...]
    checksum: int


def mutate(rng: np.random.Generator, file: bytes, parts: Parts, other: Parts) -> bytes:
    """One file that no encoder wrote, most often with valid checksums so that the codec's decoder is reached."""
    way = rng.random()
    if way < 0.08:
        return damage(rng, file)
    if way < 0.16:
        return forge_header(rng, parts)
    return forge_packet(rng, parts, other)


def with_sections(parts: Parts, sections: Sequence[bytes]) -> bytes:
    """The file with other sections; index and CRCs are made to fit."""
    return _assemble(parts.head, [packet.pack(0, parts.lengths, sections, parts.checksum)])


def damage(rng: np.random.Generator, data: bytes) -> bytes:
    """One to three local changes, nothing repaired."""
    for _ in range(rng.integers(1, 4)):
        data = _WAYS[rng.integers(len(_WAYS))](rng, data)
    return data


def forge_packet(rng: np.random.Generator, parts: Parts, other: Parts) -> bytes:
    """Change sections or lengths of the packet; index and CRCs are made to fit."""
    lengths, sections = list(parts.lengths), list(parts.sections)
    if rng.random() < 0.12 and lengths:
        lengths[rng.integers(len(lengths))] = int(rng.choice(HUGE[:12]) if rng.random() < 0.3 else rng.integers(200))
    if rng.random() < 0.08:
        lengths = [int(rng.integers(300))] * len(lengths)
    if rng.random() < 0.1 and sections and other.sections:
        sections[rng.integers(len(sections))] = other.sections[rng.integers(len(other.sections))]
    for _ in range(rng.integers(1, 3)):
        if sections:
            k = _chosen(rng, sections)
            sections[k] = damage(rng, sections[k])
    return _assemble(parts.head, [packet.pack(0, lengths, sections, parts.checksum)])


def forge_header(rng: np.random.Generator, parts: Parts) -> bytes:
    """Change one value somewhere in the header's JSON."""
    header = json.loads(parts.header)
    _change_one(rng, header)
    raw = json.dumps(header).encode()
    return with_header(parts, damage(rng, raw) if rng.random() < 0.2 else raw)


def with_header(parts: Parts, raw: bytes) -> bytes:
    """The file with another header, JSON or not; its CRC and the index are made to fit."""
    body = zlib.compress(raw)
    head = layout.PREFIX.pack(layout.MAGIC, layout.VERSION, len(body), len(raw)) + body
    one = packet.pack(0, parts.lengths, parts.sections, parts.checksum)
    return _assemble(head + struct.pack("<I", zlib.crc32(head)), [one])


def parts(file: bytes) -> Parts:
    """Take apart a valid file."""
    header, start = layout.unpack_header(file)
    offset, length, count, _, _ = layout.FOOTER.unpack(file[-layout.FOOTER.size :])
    offsets = start + packet.unpack_index(file[offset : offset + length], count)
    ragged = sum(None in t["shape"] for t in header["tensors"])
    one = packet.unpack(0, file[offsets[0] : offsets[1]], ragged, len(header["sections"]))
    return Parts(file[:start], json.dumps(header), one.lengths, one.sections, one.checksum)


def _assemble(head: bytes, packets: list[bytes]) -> bytes:
    index = packet.pack_index([len(p) for p in packets])
    body = head + b"".join(packets)
    tail = index + struct.pack("<QII", len(body), len(index), len(packets))
    return body + tail + struct.pack("<I", zlib.crc32(tail)) + layout.END_MAGIC


def _chosen(rng: np.random.Generator, sections: list[bytes]) -> int:
    """Half the time any section, else one that holds bytes."""
    full = [k for k, s in enumerate(sections) if s]
    return int(rng.choice(full)) if full and rng.random() < 0.5 else int(rng.integers(len(sections)))


def _change_one(rng: np.random.Generator, header: dict) -> None:
    places = places_of(header)
    holder, key = places[rng.integers(len(places))]
    old, way = holder[key], rng.integers(5)
    if way == 0 and isinstance(old, int | float) and not isinstance(old, bool):
        holder[key] = old * [-1, 2, 1000, 0.5][rng.integers(4)]
    elif way == 1:
        holder[key] = int(rng.choice(HUGE))
    elif way == 2:
        holder[key] = [None, True, "", "x", [], {}, -1, 1e300, 0.0, 1e-300][rng.integers(10)]
    elif way == 3 and isinstance(holder, dict):
        del holder[key]
    else:
        other_holder, other_key = places[rng.integers(len(places))]
        holder[key] = json.loads(json.dumps(other_holder.get(other_key) if isinstance(other_holder, dict) else None))


def places_of(value: object) -> list[tuple[object, object]]:
    """Every (container, key) of a JSON value."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, k) for k in keys] + [place for k in keys for place in places_of(value[k])]


def _flip(rng: np.random.Generator, data: bytes) -> bytes:
    if not data:
        return bytes([rng.integers(256)])
    at = rng.integers(len(data))
    return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]


def _overwrite(rng: np.random.Generator, data: bytes) -> bytes:
    """Some bytes become extreme: near the start, where headers live, near the end, where ANS begins, or anywhere."""
    where, near = rng.integers(3), min(16, len(data))
    at = int(rng.integers(len(data) + 1)) if where == 0 else int(rng.integers(near + 1))
    at = len(data) - at if where == 2 else at
    width = int(rng.choice([1, 2, 4, 8]))
    value = int(rng.choice(HUGE)) if rng.random() < 0.7 else int(rng.integers(2**62))
    return data[:at] + (value % 256**width).to_bytes(width, "little") + data[at + width :]


def _cut(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: rng.integers(len(data) + 1)]


def _extend(rng: np.random.Generator, data: bytes) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 64)))


def _insert(rng: np.random.Generator, data: bytes) -> bytes:
    at = rng.integers(len(data) + 1)
    return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]


def _delete(rng: np.random.Generator, data: bytes) -> bytes:
    at = rng.integers(len(data) + 1)
    return data[:at] + data[at + rng.integers(1, 9) :]


def _noise(rng: np.random.Generator, data: bytes) -> bytes:
    return rng.bytes(int(rng.integers(0, 2 * len(data) + 8)))


def _fill(rng: np.random.Generator, data: bytes) -> bytes:
    at = int(rng.integers(len(data) + 1))
    count = int(rng.integers(1, 33))
    return data[:at] + bytes([int(rng.choice([0, 255, 128]))]) * count + data[at + count :]


_WAYS = (_flip, _flip, _flip, _overwrite, _overwrite, _cut, _extend, _insert, _delete, _noise, _fill)
