"""Uniform quantiser, then pcodec: what a general numeric compressor makes of quantised features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.entropy import pco
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError
from lamofc.interfaces import Assets, TensorSpec
from lamofc.quantisers import reference, relative, uniform
from lamofc.transforms import rows


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """pcodec after quantisation (Loncaric 2024): one distribution per tensor, channel by channel, deltas if they pay.

    step: quantiser step, the knob, in units of the tensor's typical RMS.
    """

    knob: ClassVar[str] = "step"
    family: ClassVar[str] = "scientific"

    step: float = 0.1

    def __post_init__(self) -> None:
        relative.check(self.step)

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs)


class Coder(PerTensorCoder):
    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        super().__init__(specs)
        self.codec = codec

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        values, encoder = rows.to_rows(array, spec), Encoder()
        step = relative.put_step(encoder, reference.column_rms(values), np.abs(values).max(initial=0), self.codec.step)
        head = encoder.bytes()
        return bytes([len(head)]) + head + pco.pack(uniform.quantise(values, step))

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        start = 1 + (data[0] if data else len(data))
        if len(data) < start:
            raise BitstreamError(f"{spec.name}: {len(data)} bytes are too few")
        decoder = Decoder(data[1:start])
        step = relative.take_step(decoder, self.codec.step)
        decoder.close()
        count = rows.positions(shape, spec)
        symbols = pco.unpack(data[start:], spec.channels * count).reshape(spec.channels, count)
        return rows.from_rows(relative.dequantise(symbols, step), spec, shape)
