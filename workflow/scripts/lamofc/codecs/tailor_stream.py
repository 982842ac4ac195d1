"""Packets of the codec `tailor`: closed-loop prediction, transform, rounding, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lamofc.codecs import tailor_plain as plain
from lamofc.codecs.tailor_profile import KEPT, Frame, Profile, quantise, restore
from lamofc.entropy import coefficients
from lamofc.entropy.ans import Decoder, Encoder, Meter
from lamofc.errors import ConfigError
from lamofc.interfaces import JOINT, Assets, Sample, TensorSpec
from lamofc.transforms import prediction, vectors

_SUSPICIOUS = 6.0  # bits per entry from which the plain way is tried too


class Coder:
    """One section for all tensors under one coder state; tensors are coded in the order of prediction.

    Streams of several tensors that earlier versions wrote have a section and a state for each: `decode` reads both.
    """

    def __init__(
        self, step: float, specs: Sequence[TensorSpec], assets: Assets, contexts: bool, arithmetic: type
    ) -> None:
        self.specs, self.contexts = prediction.order(specs), contexts
        self.sections = [s.name for s in specs] if len(specs) == 1 else [JOINT]
        self.earlier_sections = [s.name for s in self.specs]
        self.profiles = {s.name: Profile(assets, s, step, arithmetic) for s in specs}
        self.sources = {s.name: self._sources(s) for s in specs}
        self.needed = {name for names in self.sources.values() for name in names}
        self._layouts: dict[tuple[tuple[str, int], ...], list[tuple[list[str], coefficients.Layout]]] = {}

    def _sources(self, spec: TensorSpec) -> list[str]:
        """Tensors that the profile predicts from: the assets tell whether it does."""
        own = self.profiles[spec.name]
        if not own.inputs:
            return []
        names = prediction.sources(spec, self.specs)
        sizes = [vectors.dimension(self.profiles[n].spec) for n in names]
        if sum(sizes) != own.inputs:
            raise ConfigError(f"assets of {spec.name} do not predict from {sum(sizes)} entries: fit the codec again")
        own.arithmetic.predict_from([(size, self.profiles[n].arithmetic) for n, size in zip(names, sizes, strict=True)])
        return names

    def encode(self, sample: Sample) -> list[bytes]:
        encoder = Encoder()
        self._put(encoder, sample)
        return [encoder.bytes()]

    def ideal_bits(self, sample: Sample) -> float:
        """Code length of a sample under the tables that code it: what `encode` writes beyond is the coder's loss."""
        meter = Meter()
        self._put(meter, sample)
        return meter.bits

    def _put(self, encoder: Encoder, sample: Sample) -> None:
        centred: dict[str, np.ndarray] = {}
        found = {s.name: self._symbols(sample[s.name], s, centred) for s in self.specs}
        for symbols in found.values():
            encoder.put_uniform(symbols is None, 2)
        for names, layout in self._together([(n, x.shape[1]) for n, x in found.items() if x is not None]):
            coefficients.put(encoder, [found[n] for n in names], layout)
        for name in [n for n, symbols in found.items() if symbols is None]:
            plain.put(encoder, sample[name], self.profiles[name])

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        together = [self.specs] if len(sections) == 1 else [[s] for s in self.specs]
        found: dict[str, np.ndarray] = {}
        out: Sample = {}
        for data, specs in zip(sections, together, strict=True):
            self._take(Decoder(data), specs, shapes, found, out)
        centred: dict[str, np.ndarray] = {}
        for spec in self.specs:
            own = self.profiles[spec.name]
            if spec.name in out:
                centred[spec.name] = plain.centred(out[spec.name], own)
                continue
            frame = own.at(vectors.count(shapes[spec.name], spec))
            foretold = self._foretold(spec, frame.layout.count, centred)
            centred[spec.name] = restored = restore(found.pop(spec.name), own, frame, foretold)
            out[spec.name] = vectors.from_vectors(
                own.arithmetic.vectors(restored) + frame.means, spec, shapes[spec.name]
            )
        return out

    def _take(
        self,
        decoder: Decoder,
        specs: Sequence[TensorSpec],
        shapes: Mapping[str, tuple[int, ...]],
        found: dict[str, np.ndarray],
        out: Sample,
    ) -> None:
        """What one state codes of some tensors: symbols into `found`, tensors without a profile into `out`."""
        without = [s for s in specs if decoder.take_one(2)]
        counts = [(s.name, vectors.count(shapes[s.name], s)) for s in specs if s not in without]
        for names, layout in self._together(counts):
            found.update(zip(names, coefficients.take(decoder, layout), strict=True))
        for spec in without:
            out[spec.name] = plain.take(decoder, self.profiles[spec.name], shapes[spec.name])
        decoder.close()

    def _together(self, counts: Sequence[tuple[str, int]]) -> list[tuple[list[str], coefficients.Layout]]:
        """Tensors (name, vectors) as they are coded: together where they are equally long and have the same blocks."""
        found = self._layouts.get(key := tuple(counts))
        if found is None:
            alike: dict[tuple[int, ...], list[str]] = {}
            frames = {name: self.profiles[name].at(count) for name, count in counts}
            for name, count in counts:
                alike.setdefault((count, *frames[name].near), []).append(name)
            if len(self._layouts) >= KEPT + len(self.specs):
                self._layouts.clear()
            found = self._layouts[key] = [
                (names, coefficients.Layout([frames[n].known for n in names], near, self.contexts))
                for (_, *near), names in alike.items()
            ]
        return found

    def _foretold(self, spec: TensorSpec, count: int, centred: Mapping[str, np.ndarray]) -> np.ndarray | None:
        inputs = [centred[n] for n in self.sources[spec.name]]
        if not inputs or any(x.shape[1] != count for x in inputs):
            return None
        return self.profiles[spec.name].arithmetic.foretold(inputs)

    def _symbols(self, array: np.ndarray, spec: TensorSpec, centred: dict[str, np.ndarray]) -> np.ndarray | None:
        """Symbols under the profile, None where the tensor is better off without; `centred` gets it as decoded."""
        own, found = self.profiles[spec.name], vectors.to_vectors(array, spec)
        frame, foretold = own.at(found.shape[1]), self._foretold(spec, found.shape[1], centred)
        symbols = quantise(found, own, frame, foretold)
        if symbols is not None and not self._dear(symbols, frame, array, own):
            if spec.name in self.needed:
                centred[spec.name] = restore(symbols, own, frame, foretold)
            return symbols
        if spec.name in self.needed:
            centred[spec.name] = plain.centred(plain.decoded(array, own), own)
        return None

    def _dear(self, symbols: np.ndarray, frame: Frame, array: np.ndarray, own: Profile) -> bool:
        """Whether the profile asks for many bits, and for more than coding without it."""
        if frame.ceiling.bits(symbols) < _SUSPICIOUS * array.size:
            return False
        profiled, without = Meter(), Meter()
        layout = coefficients.Layout([frame.known], frame.near, self.contexts)
        coefficients.put(profiled, [symbols], layout)
        plain.put(without, array, own)
        return profiled.bits >= _SUSPICIOUS * array.size and profiled.bits > without.bits
