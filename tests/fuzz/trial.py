"""Seeds of one codec, and what its decoder makes of one forged file."""

from __future__ import annotations

import functools
import json
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import feature_samples
import mutations
import numpy as np
import steering

from lamofc import codecs
from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.dtypes import to_bits
from lamofc.errors import LamofcError
from lamofc.interfaces import KINDS, TensorSpec

MAX_ELEMENTS = 1 << 19
STEERED = 0.4  # share of forgeries below the entropy coder
FINE = ("framing", "codec", "checksum", "equal")  # where a file was refused, or that it decodes to the same values
FINDINGS = ("silently wrong", "misshapen", "exception", "memory", "slow", "crash", "hang")
_CODERS, _NETWORKS = 256, 4  # kept at once: a coder with a network holds some 50 MB
_PACKAGE = "/lamofc/"


@dataclass
class Seed:
    """A valid file, its assets and coder; calls: in how many calls its decoder takes symbols of ANS streams."""

    file: bytes
    assets: dict
    parts: mutations.Parts
    coder: object = None
    shapes: dict = field(default_factory=dict)
    calls: int = 0


def seeds(arm: dict, root: Path, path: Path) -> list[Seed]:
    """Small valid files of a row: every kind alone at the ladder's ends and middle, and mixed streams.

    Networks take a second for a file: there every kind has one point.
    """
    ladder, own = arm["ladder"], sorted(codecs.load(arm["codec"]).kinds)
    points = list({json.dumps(p): p for p in (ladder[0], ladder[len(ladder) // 2], ladder[-1])}.values())
    network = feature_samples.network_arrays(arm, root)
    every = frozenset(own) | frozenset(KINDS) if "fallback" in arm else frozenset(own)
    alone = [([points[k % len(points)]] if network else points, frozenset([kind])) for k, kind in enumerate(own)]
    lengths = (9,) if network else (9, 1)
    out = [s for chosen, kinds in alone for s in _stream(arm, chosen, kinds, lengths, network, path)]
    return out + list(_stream(arm, points, every, (9,), network, path))


def _stream(
    arm: dict, points: list, kinds: frozenset[str], lengths: tuple[int, ...], network: dict, path: Path
) -> Iterator[Seed]:
    specs = feature_samples.mixed(kinds)
    samples = [feature_samples.gaussian(specs, n, 100 + n) for n in (31, 40, 7)]
    assets = codecs.fit(codecs.at_point(arm, points[0]), specs, samples) if codecs.needs_fit(arm) else {}
    assets |= network
    for point in points:
        for length in lengths:
            with BitstreamWriter(path, codecs.at_point(arm, point), specs, assets, {}) as writer:
                writer.add(feature_samples.gaussian(specs, length, length))
            yield Seed(path.read_bytes(), assets, mutations.parts(path.read_bytes()))


class Trial:
    """Decodes forged files of one codec; `places` counts where in the package they were refused."""

    def __init__(self, arm: dict, root: Path, path: Path) -> None:
        self.path, self.places = path, Counter()
        self.seeds = seeds(arm, root, path)
        self._stage, self._assets = "framing", {id(s.assets): s.assets for s in self.seeds}
        kept = _NETWORKS if feature_samples.network_arrays(arm, root) else _CODERS
        self._make, codecs.coder = functools.lru_cache(kept)(self._watched(codecs.coder)), self._coder
        self._known = self._prepare()

    def _prepare(self) -> dict[str, set[str]]:
        """Header -> fingerprints of what files with this header decode to; coders and shapes of the seeds."""
        known: dict[str, set[str]] = {}
        for seed in self.seeds:
            self.path.write_bytes(seed.file)
            reader = BitstreamReader(self.path, seed.assets)
            known.setdefault(_key(reader.header, seed), set()).add(_fingerprint(reader.decode(0)))
            seed.coder, seed.shapes = reader._coder.coder, reader.shapes(0)
            run = steering.Run(None, -1)
            if tuple(run.forge(seed.coder, seed.parts.sections, seed.shapes)) != seed.parts.sections:
                raise AssertionError("an ANS stream that nothing was changed in has other bytes")
            seed.calls = run.calls
        return known

    def mutant(self, case: int) -> tuple[Seed, bytes]:
        """The file of a case, which its number alone decides."""
        rng = np.random.default_rng(case)
        seed, other = (self.seeds[rng.integers(len(self.seeds))] for _ in range(2))
        if seed.calls and rng.random() < STEERED:
            run = steering.Run(rng, int(rng.integers(seed.calls)))
            return seed, mutations.with_sections(seed.parts, run.forge(seed.coder, seed.parts.sections, seed.shapes))
        return seed, mutations.mutate(rng, seed.file, seed.parts, other.parts)

    def attempt(self, seed: Seed, data: bytes) -> tuple[str, str]:
        """-> one of FINE and FINDINGS, and details of a finding."""
        self.path.write_bytes(data)
        self._stage = "framing"
        try:
            reader = BitstreamReader(self.path, seed.assets, max_elements=MAX_ELEMENTS)
            decoded = {_fingerprint(reader.decode(i)) for i in range(len(reader))}
        except Misshapen as error:
            return "misshapen", str(error)
        except LamofcError as error:
            if isinstance(error.__cause__, MemoryError):
                return "memory", str(error)
            self.places[_place(error)] += 1
            return self._stage, ""
        except MemoryError:
            return "memory", traceback.format_exc()
        except BaseException:
            return "exception", traceback.format_exc()
        header = _key(reader.header, seed)
        if header != _key(json.loads(seed.parts.header), seed):
            return "equal", ""  # under a forged header any values are right, even if it is now another seed's
        known = self._known[header]
        return ("equal", "") if decoded <= known else ("silently wrong", repr(decoded)[:500])

    def _coder(self, entry: dict, specs: tuple[TensorSpec, ...], assets: dict) -> object:
        """Coders of equal headers are built once: forged packets then cost their decoding alone."""
        return self._make(json.dumps(entry), specs, id(assets))

    def _watched(self, make: object) -> object:
        def build(entry: str, specs: tuple[TensorSpec, ...], assets: int) -> object:
            return _Watched(self, make(json.loads(entry), list(specs), self._assets[assets]), specs)

        return build


class Misshapen(BaseException):
    """A decoder handed out tensors of other names, dtypes or shapes than its stream has."""


class _Watched:
    """A coder that tells its trial how far a file came, and checks the form of what it hands out."""

    def __init__(self, trial: Trial, coder: object, specs: tuple[TensorSpec, ...]) -> None:
        self.trial, self.coder, self.sections = trial, coder, coder.sections
        self.dtypes = {s.name: s.dtype for s in specs}

    def __getattr__(self, name: str) -> object:
        return getattr(self.coder, name)

    def decode(self, sections: list[bytes], shapes: dict) -> dict:
        self.trial._stage = "codec"
        sample = self.coder.decode(sections, shapes)
        self.trial._stage = "checksum"
        form = {name: (array.dtype.name, array.shape) for name, array in sample.items()}
        if form != (wanted := {name: (dtype, shapes[name]) for name, dtype in self.dtypes.items()}):
            raise Misshapen(f"{form} where {wanted} is due")
        return sample


def _key(header: dict, seed: Seed) -> str:
    return json.dumps(header) + str(id(seed.assets))


def _fingerprint(sample: dict) -> str:
    return repr([(k, v.dtype.name, v.shape, hash(to_bits(v).tobytes())) for k, v in sorted(sample.items())])


def _place(error: BaseException) -> str:
    """Innermost line of the package that an error came from."""
    while isinstance(error.__cause__, BaseException):
        error = error.__cause__
    place, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if _PACKAGE in name:
            place = f"{name.rpartition(_PACKAGE)[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
