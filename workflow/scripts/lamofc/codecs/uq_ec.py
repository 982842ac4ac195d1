"""Uniform quantiser and entropy coder: one step for a tensor, one Laplace scale per channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import Payload, QueuedCoder
from lamofc.entropy import adaptive, bank, fitting, scales
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import reference, uniform
from lamofc.transforms import rows

_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """The yardstick: entropy-coded scalar quantisation (Gish & Pierce 1968), .25 bit from the memoryless bound.

    step: quantiser step, the knob, in units of the tensor's typical RMS (median over tokens, mean removed).
    scales: "calibrated" takes RMS, channel means and 6-bit channel scales from assets; "stream" needs no
        calibration and sends RMS and scales in every packet.
    family: shape of the static tables, "laplace" or "gauss".
    rdo: weight of rate in rounding; 0 rounds to nearest, 1 trades as a uniform quantiser does at high rate.
    """

    knob: ClassVar[str] = "step"
    family: ClassVar[str] = "numeric"
    fitted: ClassVar[bool] = True

    step: float = 0.1
    scales: str = "calibrated"
    tables: str = "laplace"
    rdo: float = 0.0

    def __post_init__(self) -> None:
        if not 1e-6 <= self.step <= 1e3:
            raise ValueError(f"step {self.step} is outside 1e-6 .. 1000")
        if self.scales not in ("calibrated", "stream"):
            raise ValueError(f"scales {self.scales!r} is neither 'calibrated' nor 'stream'")
        if self.tables not in bank.FAMILIES:
            raise ValueError(f"tables {self.tables!r} is none of {', '.join(bank.FAMILIES)}")
        if not 0 <= self.rdo <= 10:
            raise ValueError(f"rdo {self.rdo} is outside 0 .. 10")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        if self.scales == "stream":
            return {}
        return reference.fit(rows.gather(specs, samples), self.tables)

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs, assets)


class Coder(QueuedCoder):
    def __init__(self, codec: Codec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        super().__init__(specs)
        self.codec = codec
        self.profiles = {}
        if codec.scales == "calibrated":
            self.profiles = {s.name: reference.load(assets, s) for s in specs}
        self.known = {name: scales.tables(p.levels, codec.step) for name, p in self.profiles.items()}

    def start(self, array: np.ndarray, spec: TensorSpec, queue: adaptive.Queue) -> Payload:
        values, encoder, codec = rows.to_rows(array, spec), Encoder(), self.codec
        profile = self.profiles.get(spec.name)
        scale = profile.rms if profile else reference.put_rms(encoder, values)
        centred = bool(profile) and reference.is_centred(values, profile.mean)
        if centred:
            values -= profile.mean[:, None]
        doublings = uniform.coarsening(np.abs(values).max(initial=0), scale * codec.step)
        encoder.put_uniform(2 * centred + (doublings > 0), 4)
        encoder.put_uniform(doublings, 256 if doublings else 1)
        step, known = self._grid(scale, spec, doublings)
        symbols = uniform.quantise(values, step)
        if codec.rdo:
            tables = known if known is not None else fitting.best(symbols)
            symbols = uniform.quantise_rd(values, step, tables, codec.rdo)
        queue.put(encoder, symbols, known, codec.tables)
        return encoder.bytes

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        decoder, profile = Decoder(data), self.profiles.get(spec.name)
        scale = profile.rms if profile else reference.take_rms(decoder)
        centred, coarse = divmod(decoder.take_one(4), 2)
        doublings = decoder.take_one(256) if coarse else 0
        step, known = self._grid(scale, spec, doublings)
        count = rows.positions(shape, spec)
        symbols = adaptive.take(decoder, spec.channels, count, known, self.codec.tables)
        decoder.close()
        values = uniform.dequantise(symbols, step)
        if profile and centred:
            values += profile.mean[:, None]
        return rows.from_rows(np.clip(values, -_LARGEST, _LARGEST), spec, shape)

    def _grid(self, scale: float, spec: TensorSpec, doublings: int) -> tuple[float, np.ndarray | None]:
        """Step, and the bank index of each channel if calibrated."""
        known = self.known.get(spec.name)
        if doublings and known is not None:
            known = np.maximum(known - bank.PER_OCTAVE * doublings, 0)
        return min(scale * self.codec.step * 2.0**doublings, 2.0**126), known
