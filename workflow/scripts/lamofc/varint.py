"""Unsigned LEB128 integers, the only integer coding in packets."""

from __future__ import annotations

from lamofc.errors import BitstreamError

MAX_VALUE = 2**63 - 1


def put(value: int) -> bytes:
    """Integer from 0 to MAX_VALUE -> 1 to 9 bytes, least significant 7 bits first; ValueError outside."""
    if not 0 <= value <= MAX_VALUE:
        raise ValueError(f"{value} is not between 0 and 2**63 - 1")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def take(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """(value, position after it); BitstreamError when the data ends early, the value exceeds 63 bits,
    or it is not in its shortest form, so that equal packets are equal bytes."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 56:
            raise BitstreamError(f"integer at byte {at} is cut off or too long")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            if shift and not byte:
                raise BitstreamError(f"integer at byte {at} is longer than its value needs")
            return value, at
        shift += 7
