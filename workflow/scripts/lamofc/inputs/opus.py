"""Opus speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import av
import numpy as np

from lamofc import varint
from lamofc.errors import BitstreamError
from lamofc.inputs import Coding

RATE, FRAME = 16000, 320  # Hz; samples of the 20 ms that a packet holds
DELAY = 103  # samples by which the decoded sound is late, measured: libopus' 312 at 48 kHz less the resampler's lead
MAX_SECONDS = 3600


@dataclass(frozen=True)
class InputCodec(Coding):
    """Opus (RFC 6716), voice mode, 20 ms frames, without container: number of samples, then a length and a packet
    per frame. kbps: bits per second / 1000, 4 .. 128; below 6 the coder sends the least it can, about 5."""

    knob: ClassVar[str] = "kbps"
    modality: ClassVar[str] = "audio"
    kbps: float = 24

    def __post_init__(self) -> None:
        if not 4 <= self.kbps <= 128:
            raise ValueError(f"kbps {self.kbps} is not in 4 .. 128")

    def encode(self, inputs: Mapping[str, Any]) -> bytes:
        sound = inputs["audio"]
        coder = av.CodecContext.create("libopus", "w")
        coder.sample_rate, coder.layout, coder.format = RATE, "mono", "flt"
        coder.bit_rate, coder.options = int(1000 * self.kbps), {"application": "voip"}
        coder.open()
        frames = -(-(len(sound) + DELAY) // FRAME)
        padded = np.pad(sound, (0, frames * FRAME - len(sound)))[None]
        packets = [p for i in range(frames) for p in coder.encode(_frame(padded[:, i * FRAME :][:, :FRAME], i))]
        packets = [bytes(p) for p in packets + coder.encode(None)]
        return varint.put(len(sound)) + b"".join(varint.put(len(p)) + p for p in packets)

    def decode(self, data: bytes) -> dict[str, Any]:
        length, at = varint.take(data, 0)
        if length > MAX_SECONDS * RATE:
            raise BitstreamError(f"sound claims {length} samples, more than an hour")
        coder = av.CodecContext.create("libopus", "r")
        coder.sample_rate, coder.layout = 48000, "mono"
        coder.open()
        resampler, parts = av.AudioResampler(format="flt", layout="mono", rate=RATE), []
        while at < len(data):
            size, at = varint.take(data, at)
            if at + size > len(data):
                raise BitstreamError("sound is cut off within a packet")
            frames = coder.decode(av.Packet(data[at : at + size]))
            parts += [r.to_ndarray()[0] for f in frames for r in resampler.resample(f)]
            at += size
        parts += [r.to_ndarray()[0] for r in resampler.resample(None)]
        sound = np.concatenate([np.zeros(0, np.float32), *parts])[DELAY:]
        missing = length - len(sound)
        if missing > 2 * FRAME:
            raise BitstreamError(f"sound has {len(sound)} of its {length} samples")
        return {"audio": np.pad(sound, (0, max(0, missing)))[:length].astype(np.float32)}


def _frame(samples: np.ndarray, index: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, index * FRAME, Fraction(1, RATE)
    return frame
