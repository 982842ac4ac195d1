"""FLAC speech: 16 bit, which is what the packaged sounds have."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import av
import numpy as np

from lamofc.errors import BitstreamError
from lamofc.inputs import Coding

RATE = 16000


@dataclass(frozen=True)
class InputCodec(Coding):
    """FLAC (RFC 9639). bits: of a sample before lossless coding, 16 and fewer; the low bits are rounded away."""

    knob: ClassVar[str] = "bits"
    modality: ClassVar[str] = "audio"
    bits: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 16:
            raise ValueError(f"bits {self.bits} is not in 1 .. 16")

    def encode(self, inputs: Mapping[str, Any]) -> bytes:
        step = 2 ** (16 - self.bits)
        sound = np.clip(np.round(inputs["audio"] * (32768 / step)) * step, -32768, 32768 - step).astype(np.int16)
        file = io.BytesIO()
        with av.open(file, "w", format="flac") as container:
            stream = container.add_stream("flac", rate=RATE, layout="mono")
            frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return file.getvalue()

    def decode(self, data: bytes) -> dict[str, Any]:
        with av.open(io.BytesIO(data)) as container:
            parts = [f.to_ndarray().reshape(-1) for f in container.decode(audio=0)]
        if not parts:
            raise BitstreamError("no sound in the FLAC file")
        return {"audio": np.concatenate(parts).astype(np.float32) / 32768}
