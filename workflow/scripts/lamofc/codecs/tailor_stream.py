"""Packets of the codec `tailor`: closed-loop prediction, transform, rounding, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lamofc.entropy import adaptive, bank, coefficients
from lamofc.entropy.ans import Decoder, Encoder, Meter
from lamofc.errors import ConfigError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import uniform
from lamofc.transforms import per_channel, positions, prediction, profile, rows, vectors
from lamofc.transforms.snap import snap

_RANGE = 2.0**28  # components in steps, beyond which a tensor is coded without its profile
_SUSPICIOUS = 6.0  # bits per entry from which the plain way is tried too
_KEPT = 16  # sample sizes whose tables are kept
_LARGEST = float(np.finfo(np.float32).max)
_PARTS = ("mean", "first", "predict", "synthesis", "scale", "block", "levels", "first_levels", "weights")


class Profile:
    """A tensor's assets made ready for one step."""

    def __init__(self, assets: Assets, spec: TensorSpec, step: float, contexts: bool) -> None:
        missing = [p for p in _PARTS if f"{spec.name}/{p}" not in assets]
        if missing:
            raise ConfigError(f"no asset {spec.name}/{missing[0]}: fit the codec on calibration features")
        found = {p: assets[f"{spec.name}/{p}"] for p in _PARTS}
        size = vectors.dimension(spec)
        if found["synthesis"].shape != (size, size):
            raise ConfigError(f"assets of {spec.name} are for {found['synthesis'].shape[0]} entries, not {size}")
        self.spec, self.step, self.contexts = spec, np.float32(step), contexts
        self.mean, self.first = found["mean"], found["first"].T
        self.predict = found["predict"].astype(np.float64)
        self.synthesis = exact = found["synthesis"].astype(np.float64) * float(found["scale"][0])
        self.analysis = np.linalg.inv(exact).astype(np.float32)
        self.block = (int(found["block"][0]), int(found["block"][1]))
        self.tables = profile.tables(found["levels"], step)
        self.first_tables = profile.tables(found["first_levels"], step)
        self.weights = found["weights"]
        self.entries, self.shifts = per_channel.means(assets, spec), per_channel.shifts(assets, spec)
        if self.entries is not None and self.entries.shape != (size, spec.channels):
            raise ConfigError(f"assets of {spec.name} are for {self.entries.shape} entries, not {size, spec.channels}")
        self._frames: dict[int, Frame] = {}
        self.plain_step = step * float(np.sqrt(np.square(exact).sum() / max(size, 1))) or step

    def at(self, count: int) -> Frame:
        """What the profile says of a sample of `count` vectors; kept for the next sample of that size."""
        frame = self._frames.get(count)
        if frame is None:
            if len(self._frames) >= _KEPT:
                self._frames.clear()
            frame = self._frames[count] = Frame(self, count)
        return frame


class Frame:
    """A profile spread over the vectors of one sample."""

    def __init__(self, own: Profile, count: int) -> None:
        first = own.first.shape[1]
        self.layout = positions.Layout(count, first, own.block)
        self.means = profile.spread(own.mean, own.first, count) if own.entries is None else own.entries
        self.gains = profile.column_weights(own.weights, first, count)
        body = own.tables[:, self.layout.frequencies()]
        known = np.concatenate([own.first_tables[:, : count - self.layout.body], body], 1)
        if own.shifts is not None:
            known = np.clip(known + own.shifts, 0, bank.MAX_INDEX)
        self.symbols = coefficients.Layout(known, (first, *own.block), own.contexts)


class Coder:
    """One section per tensor; tensors are coded in the order of prediction."""

    def __init__(self, step: float, specs: Sequence[TensorSpec], assets: Assets, contexts: bool) -> None:
        self.specs = prediction.order(specs)
        self.sections = [s.name for s in self.specs]
        self.profiles = {s.name: Profile(assets, s, step, contexts) for s in specs}
        self.sources = {s.name: self._sources(s) for s in specs}
        self.needed = {name for names in self.sources.values() for name in names}

    def _sources(self, spec: TensorSpec) -> list[str]:
        """Tensors that the profile predicts from: the assets tell whether it does."""
        if not self.profiles[spec.name].predict.shape[1]:
            return []
        names = prediction.sources(spec, self.specs)
        wanted = sum(vectors.dimension(s) for s in self.specs if s.name in names)
        if wanted != self.profiles[spec.name].predict.shape[1]:
            raise ConfigError(f"assets of {spec.name} do not predict from {wanted} entries: fit the codec again")
        return names

    def encode(self, sample: Sample) -> list[bytes]:
        centred: dict[str, np.ndarray] = {}
        return [self._encode(sample[s.name], s, centred) for s in self.specs]

    def ideal_bits(self, sample: Sample) -> float:
        """Code length of a sample under the tables that code it: what `encode` writes beyond is the coder's loss."""
        found = zip(self.specs, self.encode(sample), strict=True)
        return sum(self._ideal(data, self.profiles[s.name], sample[s.name].shape) for s, data in found)

    def _ideal(self, data: bytes, own: Profile, shape: tuple[int, ...]) -> float:
        decoder = Decoder(data)
        if decoder.take_one(2):
            return 8.0 * len(data)  # without the profile: tables are fitted to the tensor, no model is ahead of it
        meter, layout = Meter(), own.at(vectors.count(shape, own.spec)).symbols
        meter.put_uniform(0, 2)
        coefficients.put(meter, coefficients.take(decoder, layout), layout)
        return meter.bits

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        centred: dict[str, np.ndarray] = {}
        pairs = zip(self.specs, sections, strict=True)
        return {s.name: self._decode(data, s, shapes[s.name], centred) for s, data in pairs}

    def _foretold(self, spec: TensorSpec, count: int, centred: Mapping[str, np.ndarray]) -> np.ndarray | None:
        inputs = [centred[n] for n in self.sources[spec.name]]
        if not inputs or any(x.shape[1] != count for x in inputs):
            return None
        return self.profiles[spec.name].predict @ np.concatenate(inputs)

    def _encode(self, array: np.ndarray, spec: TensorSpec, centred: dict[str, np.ndarray]) -> bytes:
        own, found, encoder = self.profiles[spec.name], vectors.to_vectors(array, spec), Encoder()
        frame, foretold = own.at(found.shape[1]), self._foretold(spec, found.shape[1], centred)
        symbols = _quantise(found, own, frame, foretold)
        if symbols is not None:
            encoder.put_uniform(0, 2)
            coefficients.put(encoder, symbols, frame.symbols)
            data = encoder.bytes()
            if 8 * len(data) < _SUSPICIOUS * array.size or len(data) <= len(self._plain(array, own)):
                if spec.name in self.needed:
                    centred[spec.name] = _restore(symbols, own, frame, foretold)
                return data
        plain = self._plain(array, own)
        centred[spec.name] = self._centred(self._decode_plain(plain, own, array.shape), own)
        return plain

    def _decode(
        self, data: bytes, spec: TensorSpec, shape: tuple[int, ...], centred: dict[str, np.ndarray]
    ) -> np.ndarray:
        own, decoder = self.profiles[spec.name], Decoder(data)
        if decoder.take_one(2):
            array = self._decode_plain(data, own, shape)
            centred[spec.name] = self._centred(array, own)
            return array
        frame = own.at(vectors.count(shape, spec))
        symbols = coefficients.take(decoder, frame.symbols)
        decoder.close()
        found = _restore(symbols, own, frame, self._foretold(spec, frame.layout.count, centred))
        centred[spec.name] = found
        return vectors.from_vectors(found + frame.means, spec, shape)

    def _centred(self, array: np.ndarray, own: Profile) -> np.ndarray:
        found = np.clip(vectors.to_vectors(array, own.spec), -1e30, 1e30)
        return found - own.at(found.shape[1]).means

    def _plain(self, array: np.ndarray, own: Profile) -> bytes:
        """The tensor without its profile, at a step of equal mean error."""
        values, encoder = rows.to_rows(array, own.spec), Encoder()
        encoder.put_uniform(1, 2)
        doublings = uniform.coarsening(np.abs(values).max(initial=0), own.plain_step)
        encoder.put_uniform(doublings, 256)
        adaptive.put(encoder, uniform.quantise(values, own.plain_step * 2.0**doublings))
        return encoder.bytes()

    def _decode_plain(self, data: bytes, own: Profile, shape: tuple[int, ...]) -> np.ndarray:
        decoder = Decoder(data)
        decoder.take_one(2)
        step = min(own.plain_step * 2.0 ** decoder.take_one(256), 2.0**126)
        symbols = adaptive.take(decoder, own.spec.channels, rows.positions(shape, own.spec))
        decoder.close()
        values = uniform.dequantise(symbols, step)
        return rows.from_rows(np.clip(values, -_LARGEST, _LARGEST), own.spec, shape)


def _quantise(found: np.ndarray, own: Profile, frame: Frame, foretold: np.ndarray | None) -> np.ndarray | None:
    """Vectors -> symbols (dimension, count) int32; None where they are too large for the profile's step."""
    with np.errstate(over="ignore", invalid="ignore"):
        residual = found - frame.means
        if foretold is not None:
            residual -= foretold
        scaled = frame.layout.transform((own.analysis @ residual) * (frame.gains / own.step))
        if not max(scaled.max(initial=0), -scaled.min(initial=0)) < _RANGE:
            return None
    return np.rint(scaled, out=scaled).astype(np.int32)


def _restore(symbols: np.ndarray, own: Profile, frame: Frame, foretold: np.ndarray | None) -> np.ndarray:
    """Symbols -> vectors without their mean, float32, equal on every machine. The encoder runs it too."""
    used = np.flatnonzero(symbols.any(1))
    values = symbols[used] * np.float64(own.step)
    residual = own.synthesis[:, used] @ (frame.layout.transform(values, inverse=True) / frame.gains)
    return snap(residual if foretold is None else residual + foretold, own.plain_step)
