"""A codec and its fallback in one stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lamofc.codecs import FALLBACK, kept
from lamofc.interfaces import Assets, Codec, Sample, TensorSpec


class Composite:
    """Coder that gives each tensor to the codec or to its fallback; the fallback's bytes count like any."""

    def __init__(
        self, own: Codec, fallback: Codec, specs: Sequence[TensorSpec], rest: frozenset[str], assets: Assets
    ) -> None:
        self._own_names = [s.name for s in specs if s.name not in rest]
        self._rest_names = [s.name for s in specs if s.name in rest]
        mine = {k: v for k, v in assets.items() if not k.startswith(FALLBACK)}
        theirs = {k.removeprefix(FALLBACK): v for k, v in assets.items() if k.startswith(FALLBACK)}
        own_specs = [s for s in specs if s.name not in rest]
        self._own = own.coder(own_specs, mine) if own_specs else None
        self._rest = fallback.coder([s for s in specs if s.name in rest], theirs)
        self._split = len(self._own.sections) if self._own else 0
        self.sections = [*(self._own.sections if self._own else []), *self._rest.sections]

    def kept(self, sample: Sample) -> Sample:
        own = kept(self._own, {n: sample[n] for n in self._own_names}) if self._own else {}
        return own | kept(self._rest, {n: sample[n] for n in self._rest_names})

    def encode(self, sample: Sample) -> list[bytes]:
        own = self._own.encode({n: sample[n] for n in self._own_names}) if self._own else []
        return [*own, *self._rest.encode({n: sample[n] for n in self._rest_names})]

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        out: Sample = {}
        if self._own:
            out |= self._own.decode(sections[: self._split], {n: shapes[n] for n in self._own_names})
        return out | self._rest.decode(sections[self._split :], {n: shapes[n] for n in self._rest_names})
