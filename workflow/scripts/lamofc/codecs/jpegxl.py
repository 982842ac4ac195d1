"""JPEG XL over planes of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import imagecodecs
import numpy as np

from lamofc.codecs.as_image import ImageCodec
from lamofc.codecs.imaging import decoded_apart


@dataclass(frozen=True)
class Codec(ImageCodec):
    """ISO/IEC 18181 (libjxl), 16-bit grey, VarDCT.

    distance: the knob, 0.01 .. 25; in photographs 1 is where a difference begins to be seen.
    effort: of the encoder, 1 .. 9.
    """

    knob: ClassVar[str] = "distance"

    distance: float = 1.0
    effort: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.01 <= self.distance <= 25 or not 1 <= self.effort <= 9:
            raise ValueError(f"distance {self.distance} is not in 0.01 .. 25, or effort {self.effort} not in 1 .. 9")

    def compress(self, image: np.ndarray) -> bytes:
        return imagecodecs.jpegxl_encode(image, distance=self.distance, effort=self.effort, numthreads=1)

    def decompress(self, data: bytes, shape: tuple[int, int]) -> np.ndarray:
        return decoded_apart("jpegxl", data, shape)
