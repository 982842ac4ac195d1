"""AV1 intra over planes of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc.codecs.as_image import ImageCodec
from lamofc.codecs.imaging import decoded_apart, video_frame

BITS = 10


@dataclass(frozen=True)
class Codec(ImageCodec):
    """AV1 (SVT-AV1 through FFmpeg), one intra picture, 10 bits; 4:2:0 with flat chroma, which costs a few bytes.

    crf: the knob, 1 .. 63.
    preset: 0 (slow) .. 13.
    """

    knob: ClassVar[str] = "crf"

    crf: int = 30
    preset: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.crf <= 63 or not 0 <= self.preset <= 13:
            raise ValueError(f"crf {self.crf} is not in 1 .. 63, or preset {self.preset} not in 0 .. 13")

    def compress(self, image: np.ndarray) -> bytes:
        options = {"preset": str(self.preset), "crf": str(self.crf), "svtav1-params": "lp=1:avif=1"}
        return video_frame("libsvtav1", image >> (16 - BITS), "yuv420p10le", options)

    def decompress(self, data: bytes, shape: tuple[int, int]) -> np.ndarray:
        return decoded_apart("libdav1d", data, shape, BITS)
