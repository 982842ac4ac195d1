"""JPEG XL photographs."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import imagecodecs
import numpy as np
from PIL import Image

from lamofc.errors import BitstreamError
from lamofc.inputs import Coding

_SIZE = struct.Struct("<HH")


@dataclass(frozen=True)
class InputCodec(Coding):
    """ISO/IEC 18181. distance: 0 is lossless, 1 about where a viewer begins to see a difference, 15 the coarsest.

    shrink: sides are divided by it before coding and restored after it: what is left below the coarsest distance.
    """

    knob: ClassVar[str] = "distance"
    modality: ClassVar[str] = "image"
    distance: float = 1.0
    effort: int = 5
    shrink: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.distance <= 15 or not 1 <= self.effort <= 9:
            raise ValueError(f"distance {self.distance} is not in 0 .. 15, or effort {self.effort} not in 1 .. 9")
        if not 1 <= self.shrink <= 64:
            raise ValueError(f"shrink {self.shrink} is not in 1 .. 64")

    def encode(self, inputs: Mapping[str, Any]) -> bytes:
        """JPEG XL; with `shrink`, height and width in natural size before it, two bytes each."""
        image, before = inputs["image"], b""
        if self.shrink > 1:
            before = _SIZE.pack(*image.shape[:2])
            image = _resized(image, *(-(-side // self.shrink) for side in image.shape[:2]))
        quality = {"lossless": True} if self.distance == 0 else {"distance": self.distance}
        return before + imagecodecs.jpegxl_encode(image, effort=self.effort, numthreads=1, **quality)

    def decode(self, data: bytes) -> dict[str, Any]:
        start = _SIZE.size * (self.shrink > 1)
        image = imagecodecs.jpegxl_decode(data[start:], numthreads=1)
        if self.shrink > 1:
            natural = _SIZE.unpack_from(data)
            if tuple(-(-side // self.shrink) for side in natural) != image.shape[:2]:
                raise BitstreamError(f"a picture of {image.shape[:2]} pixels is not {natural} divided by {self.shrink}")
            image = _resized(image, *natural)
        return {"image": np.ascontiguousarray(image)}


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
