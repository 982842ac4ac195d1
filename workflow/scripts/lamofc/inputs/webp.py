"""WebP photographs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import imagecodecs
import numpy as np

from lamofc.inputs import Coding


@dataclass(frozen=True)
class InputCodec(Coding):
    """Lossy WebP (VP8 intra, RFC 9649). quality: 100 (best) .. 0."""

    knob: ClassVar[str] = "quality"
    modality: ClassVar[str] = "image"
    quality: float = 80

    def __post_init__(self) -> None:
        if not 0 <= self.quality <= 100:
            raise ValueError(f"quality {self.quality} is not in 0 .. 100")

    def encode(self, inputs: Mapping[str, Any]) -> bytes:
        return imagecodecs.webp_encode(inputs["image"], level=self.quality, lossless=False, numthreads=1)

    def decode(self, data: bytes) -> dict[str, Any]:
        return {"image": np.ascontiguousarray(imagecodecs.webp_decode(data)[..., :3])}
