"""JPEG 2000 over planes of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import imagecodecs
import numpy as np

from lamofc.codecs.as_image import ImageCodec
from lamofc.codecs.imaging import decoded_apart


@dataclass(frozen=True)
class Codec(ImageCodec):
    """ISO/IEC 15444-1 (OpenJPEG), 16-bit grey, wavelet 9/7, code stream without a file around it.

    psnr: the knob, dB that the coder aims at over the 16-bit range.
    """

    knob: ClassVar[str] = "psnr"

    psnr: float = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 10 <= self.psnr <= 110:
            raise ValueError(f"psnr {self.psnr} is not in 10 .. 110")

    def compress(self, image: np.ndarray) -> bytes:
        return imagecodecs.jpeg2k_encode(image, level=self.psnr, codecformat="j2k", reversible=False, numthreads=1)

    def decompress(self, data: bytes, shape: tuple[int, int]) -> np.ndarray:
        return decoded_apart("jpeg2k", data, shape)
