"""Decoders of pictures; `imaging` calls them in a process that imports this file once and forks before each use."""

from __future__ import annotations

import struct

import av
import numpy as np
from imagecodecs import jpeg2k_decode, jpegxl_decode

HEAD = struct.Struct("<8sII")  # decoder, height, width; the coded picture follows
_STILL = {"jpegxl": jpegxl_decode, "jpeg2k": jpeg2k_decode}


def decode(request: bytes) -> bytes:
    """-> little-endian uint16 of the picture, no bytes if it has another shape than the request says."""
    name, height, width = HEAD.unpack_from(request)
    name, data = name.rstrip(b"\0").decode(), request[HEAD.size :]
    image = _STILL[name](data, numthreads=1) if name in _STILL else _frame(name, data)
    return np.ascontiguousarray(image, "<u2").tobytes() if image.shape == (height, width) else b""


def _frame(name: str, data: bytes) -> np.ndarray:
    av.logging.set_level(None)
    context = av.CodecContext.create(name, "r")
    context.thread_count = 1
    (frame,) = [*context.decode(av.Packet(data)), *context.decode(None)]
    plane = frame.planes[0]
    return np.ndarray((plane.height, plane.line_size // 2), np.uint16, memoryview(plane))[:, : plane.width]
