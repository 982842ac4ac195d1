"""Image and video libraries behind two calls. Decoders run in a process of their own: bytes may be anybody's."""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from lamofc.errors import BitstreamError
from lamofc.isolated import Isolated

os.environ.setdefault("SVT_LOG", "1")  # errors only: the encoder prints a page per picture otherwise
_HEAD = struct.Struct("<8sII")  # as in picture_decoders
_MEMORY = 1 << 28  # bytes that a decoder may take for itself, beside some for every pixel
_PER_PIXEL = 64


def video_frame(encoder: str, image: np.ndarray, pixels: str, options: Mapping[str, str]) -> bytes:
    """(height, width) uint16 in the low bits of `pixels` -> the packets of one intra picture."""
    import av

    av.logging.set_level(None)
    context = av.CodecContext.create(encoder, "w")
    context.height, context.width = image.shape
    context.pix_fmt, context.options = pixels, dict(options)
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25, 1)
    frame = av.VideoFrame(image.shape[1], image.shape[0], pixels)
    for number, plane in enumerate(frame.planes):
        pixels_of = np.ndarray((plane.height, plane.line_size // 2), np.uint16, memoryview(plane))
        pixels_of[:, : plane.width] = image if number == 0 else 1 << 9
    frame.pts = 0
    return b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])


def decoded_apart(decoder: str, data: bytes, shape: tuple[int, int], bits: int = 16) -> np.ndarray:
    """One coded picture -> (height, width) uint16 over the full range; BitstreamError if it is none of that shape."""
    request = _HEAD.pack(decoder.encode(), *shape) + data
    answer = _isolated()(request, _MEMORY + _PER_PIXEL * shape[0] * shape[1])
    if len(answer) != 2 * shape[0] * shape[1]:
        raise BitstreamError(f"{decoder} picture holds {len(answer) // 2} pixels, not {shape[0]} x {shape[1]}")
    image = np.frombuffer(answer, "<u2").reshape(shape)
    return image if bits == 16 else _widened(image, bits)


def _widened(image: np.ndarray, bits: int) -> np.ndarray:
    """Low bits -> full 16-bit range, the middle of each step."""
    shift = 16 - bits
    return (np.minimum(image, (1 << bits) - 1) << shift) | np.uint16(1 << (shift - 1))


@functools.cache
def _isolated() -> Isolated:
    return Isolated("lamofc.codecs.picture_decoders:decode")
