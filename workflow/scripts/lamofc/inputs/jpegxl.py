"""JPEG XL photographs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import imagecodecs
import numpy as np

from lamofc.inputs import Coding


@dataclass(frozen=True)
class InputCodec(Coding):
    """ISO/IEC 18181. distance: 0 is lossless, 1 about where a viewer begins to see a difference, 15 the coarsest."""

    knob: ClassVar[str] = "distance"
    modality: ClassVar[str] = "image"
    distance: float = 1.0
    effort: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.distance <= 15 or not 1 <= self.effort <= 9:
            raise ValueError(f"distance {self.distance} is not in 0 .. 15, or effort {self.effort} not in 1 .. 9")

    def encode(self, inputs: Mapping[str, Any]) -> bytes:
        quality = {"lossless": True} if self.distance == 0 else {"distance": self.distance}
        return imagecodecs.jpegxl_encode(inputs["image"], effort=self.effort, numthreads=1, **quality)

    def decode(self, data: bytes) -> dict[str, Any]:
        return {"image": np.ascontiguousarray(imagecodecs.jpegxl_decode(data, numthreads=1))}
