"""Calibrated PCA, one step, entropy coding: transform coding of caches and hidden states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from lamofc import interfaces
from lamofc.codecs import uq_ec
from lamofc.codecs.per_tensor import Payload, QueuedCoder
from lamofc.dtypes import bits_of, from_bits, to_bits
from lamofc.entropy import adaptive, scales
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import reference, uniform
from lamofc.transforms import klt, vectors
from lamofc.transforms.snap import snap

_PROFILE, _PLAIN = b"\1", b"\0"
_RANGE = 2.0**28  # components in steps, beyond which a tensor is coded without its profile
_SEQUENCES = ("tokens", "key", "value")


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """KVTC (Staniszewski and Lancucki 2025): rotation by position undone, heads joined, PCA per tensor.

    One step for all components is reverse water-filling: components below it cost nothing, the others half a bit per
    doubling of their variance. Tokens of unusual size (attention sinks) carry a gain; `exact` gives the first and
    last tokens that are sent in native dtype, which the paper does with 4 and 128 of its long contexts and which
    costs more than it gains here.
    step: the knob, in units of the tensor's typical RMS (median over tokens, mean removed).
    """

    knob: ClassVar[str] = "step"
    family: ClassVar[str] = "kv"
    kinds: ClassVar[frozenset[str]] = frozenset({"key", "value", "tokens", "ssm", "conv", "embedding"})
    fitted: ClassVar[bool] = True

    step: float = 0.1
    exact: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if not 1e-6 <= self.step <= 1e3:
            raise ValueError(f"step {self.step} is outside 1e-6 .. 1000")
        if len(self.exact) != 2 or min(self.exact) < 0:
            raise ValueError(f"exact {self.exact} is not a pair of token counts")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        out: dict[str, np.ndarray] = {}
        with threadpool_limits(1):
            for name, found in vectors.gather(specs, samples).items():
                usual = found[:, reference.is_usual(found)]
                mean, covariance = klt.moments(usual)
                components = klt.basis(covariance)[0].astype(np.float16)
                centred = usual - mean[:, None].astype(np.float32)
                rms = reference.typical_rms(centred)
                projected = components.T.astype(np.float32) @ centred
                sigma = np.sqrt(2) * np.abs(projected).mean(1) if usual.size else np.ones(len(usual))
                out[f"{name}/components"] = components
                out[f"{name}/mean"] = mean.astype(np.float32)
                out[f"{name}/rms"] = np.array([rms], np.float32)
                out[f"{name}/levels"] = scales.levels(sigma, rms)
        return out

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs, assets)


class _Profile:
    """A tensor's assets at one step."""

    def __init__(self, assets: Assets, spec: TensorSpec, step: float) -> None:
        try:
            parts = [assets[f"{spec.name}/{part}"] for part in ("components", "mean", "rms", "levels")]
        except KeyError as error:
            raise ConfigError(f"no asset {error}: fit the codec on calibration features of {spec.name}") from None
        self.components, self.synthesis = parts[0].astype(np.float32), parts[0].astype(np.float64)
        self.mean, self.step = parts[1][:, None], float(parts[2][0]) * step
        self.tables = scales.tables(parts[3], step)
        size = vectors.dimension(spec)
        if self.components.shape != (size, size):
            raise ConfigError(f"assets of {spec.name} are for {self.components.shape[0]} entries, not {size}")


class Coder(QueuedCoder):
    def __init__(self, codec: Codec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        super().__init__(specs)
        self.codec = codec
        self.profiles = {s.name: _Profile(assets, s, codec.step) for s in specs}
        self.plain = uq_ec.Codec(step=codec.step, scales="stream").coder(specs, {})

    def start(self, array: np.ndarray, spec: TensorSpec, queue: adaptive.Queue) -> Payload:
        profile, found = self.profiles[spec.name], vectors.to_vectors(array, spec)
        exact, coded = self._parts(found.shape[1], spec)
        with np.errstate(over="ignore", invalid="ignore"):
            projected = profile.components.T @ (found[:, coded] - profile.mean)
        if not np.abs(projected).max(initial=0) < profile.step * _RANGE:
            plain = self.plain.start(array, spec, queue)
            return lambda: _PLAIN + plain()
        encoder = Encoder()
        queue.put(encoder, uniform.quantise(projected, profile.step), profile.tables)
        raw = to_bits(np.take(array, exact, _axis(spec))).tobytes() if exact.size else b""
        return lambda: _PROFILE + raw + encoder.bytes()

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        if data[:1] == _PLAIN:
            return self.plain.decode_tensor(data[1:], spec, shape)
        if data[:1] != _PROFILE:
            raise BitstreamError(f"{spec.name}: payload starts with {data[:1]!r}, which no encoder writes")
        profile, count = self.profiles[spec.name], vectors.count(shape, spec)
        exact, coded = self._parts(count, spec)
        size = exact.size * spec.channels * bits_of(spec.dtype) // 8
        decoder = Decoder(data[1 + size :])
        symbols = adaptive.take(decoder, vectors.dimension(spec), coded.size, profile.tables)
        decoder.close()
        found = np.zeros((vectors.dimension(spec), count), np.float32)
        values = profile.synthesis @ (symbols * profile.step) + profile.mean
        found[:, coded] = snap(values, profile.step)
        array = vectors.from_vectors(found, spec, shape)
        if exact.size:
            _place(array, data[1 : 1 + size], exact, spec)
        return array

    def _parts(self, count: int, spec: TensorSpec) -> tuple[np.ndarray, np.ndarray]:
        """Positions sent exactly and positions coded."""
        first, last = self.codec.exact if spec.kind in _SEQUENCES else (0, 0)
        apart = np.zeros(count, bool)
        apart[:first] = True
        apart[max(0, count - last) :] = True
        return np.flatnonzero(apart), np.flatnonzero(~apart)


def _axis(spec: TensorSpec) -> int:
    return 1 if spec.kind in ("key", "value") else 0


def _place(array: np.ndarray, raw: bytes, positions: np.ndarray, spec: TensorSpec) -> None:
    shape = [positions.size if i == _axis(spec) else n for i, n in enumerate(array.shape)]
    bits = np.frombuffer(raw, f"<u{bits_of(spec.dtype) // 8}").reshape(shape)
    where = [slice(None)] * array.ndim
    where[_axis(spec)] = positions
    array[tuple(where)] = from_bits(bits, spec.dtype)
