"""HEVC intra over planes of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc.codecs.as_image import ImageCodec
from lamofc.codecs.imaging import decoded_apart, video_frame


@dataclass(frozen=True)
class Codec(ImageCodec):
    """ITU-T H.265 (x265 through FFmpeg), 4:0:0, one intra picture, as LaMoFCBench's predecessor uses VTM.

    qp: the knob, 0 .. 51; 6 more double the step.
    bits: of a sample, 10 or 12.
    preset: x265's, how much it searches.
    """

    knob: ClassVar[str] = "qp"

    qp: int = 22
    bits: int = 12
    preset: str = "medium"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.qp <= 51 or self.bits not in (10, 12):
            raise ValueError(f"qp {self.qp} is not in 0 .. 51, or bits {self.bits} neither 10 nor 12")

    def compress(self, image: np.ndarray) -> bytes:
        block = 32 if min(image.shape) >= 32 else 16
        # no threads: the stream must not depend on their number; no text of the encoder in the stream
        quiet = "keyint=1:log-level=none:pools=none:frame-threads=1:info=0"
        options = {"x265-params": f"qp={self.qp}:ctu={block}:{quiet}", "preset": self.preset}
        return video_frame("libx265", image >> (16 - self.bits), f"gray{self.bits}le", options)

    def decompress(self, data: bytes, shape: tuple[int, int]) -> np.ndarray:
        return decoded_apart("hevc", data, shape, self.bits)
