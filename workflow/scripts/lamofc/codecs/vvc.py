"""VVC intra over planes of features, through an encoder that the user installs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc.codecs import vvc_encoders
from lamofc.codecs.as_image import ImageCodec
from lamofc.codecs.imaging import decoded_apart

BITS = 10
PRESETS = ("faster", "fast", "medium", "slow", "slower")


@dataclass(frozen=True)
class Codec(ImageCodec):
    """ITU-T H.266, 4:0:0, one intra picture, 10 bits. Encoding takes a program (vvc_encoders), decoding FFmpeg alone.

    qp: the knob, 0 .. 63; 6 more double the step.
    encoder: vvenc (Fraunhofer's) or vtm, the reference software, as LaMoFCBench's predecessor has it.
    preset: VVenC's, how much it searches; VTM has none.
    """

    knob: ClassVar[str] = "qp"

    qp: int = 32
    encoder: str = "vvenc"
    preset: str = "medium"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.qp <= 63:
            raise ValueError(f"qp {self.qp} is not in 0 .. 63")
        if self.encoder not in vvc_encoders.NAMES or self.preset not in PRESETS:
            known = ", ".join(vvc_encoders.NAMES), ", ".join(PRESETS)
            raise ValueError(f"encoder {self.encoder!r}: {known[0]}; preset {self.preset!r}: {known[1]}")

    def missing(self) -> str:
        """What this machine lacks to encode; empty if nothing."""
        return vvc_encoders.missing(self.encoder)

    def compress(self, image: np.ndarray) -> bytes:
        return vvc_encoders.encode(self.encoder, image >> (16 - BITS), self.qp, self.preset)

    def decompress(self, data: bytes, shape: tuple[int, int]) -> np.ndarray:
        return decoded_apart("vvc", data, shape, BITS)
