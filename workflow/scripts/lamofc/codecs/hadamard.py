"""Random signs and Hadamard transform, so that every value looks Gaussian: no calibration at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.entropy import bank, bits, grouped, lattice_points, scales
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import lloyd_max, maxabs, uniform
from lamofc.transforms import hadamard, lattice

_SMALLEST = 2.0**-100


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """TurboQuant without its residual stage (Zandieh et al. 2025): rotate, send the size of each token, quantise.

    Tensors without tokens are rotated in pieces of up to 1024 values.
    quantiser: "lloyd-max" at a fixed number of bits; "uniform" under Gaussian tables; "d4" or "e8", nearest lattice
        points under Gaussian tables (QuIP#, Tseng et al. 2024, has E8 at a fixed rate).
    level: the knob: bits per value, 1 .. 8, of "lloyd-max"; else the step in units of the token's RMS, for lattices
        the step of equal density.
    """

    knob: ClassVar[str] = "level"
    family: ClassVar[str] = "numeric"

    level: float = 4
    quantiser: str = "lloyd-max"

    def __post_init__(self) -> None:
        if self.quantiser not in _QUANTISERS:
            raise ValueError(f"quantiser {self.quantiser!r} is none of {', '.join(_QUANTISERS)}")
        if self.quantiser == "lloyd-max" and self.level not in range(1, lloyd_max.MAX_BITS + 1):
            raise ValueError(f"level {self.level} is no number of bits 1 .. {lloyd_max.MAX_BITS}")
        if not 1e-4 <= self.level <= 1e3:
            raise ValueError(f"level {self.level} is outside 1e-4 .. 1000")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(specs, _QUANTISERS[self.quantiser](self))


class Coder:
    """Payload: rotated values of unit size. Side: sizes (RMS) of the vectors."""

    def __init__(self, specs: Sequence[TensorSpec], quantiser: LloydMax | Uniform | Lattice) -> None:
        self.specs, self.quantiser = list(specs), quantiser
        self.sections = [name for s in specs for name in (s.name, f"{s.name}/sizes")]

    def encode(self, sample: Sample) -> list[bytes]:
        """All tensors are rotated together, which short prompts gain from."""
        vectors = [maxabs.to_vectors(sample[s.name], s) for s in self.specs]
        encoders = [Encoder() for _ in self.specs]
        sizes = [scales.put_sizes(e, _rms(v)) for e, v in zip(encoders, vectors, strict=True)]
        rotated = _together(hadamard.forward, [v / s[:, None] for v, s in zip(vectors, sizes, strict=True)])
        payloads = self.quantiser.encode([r.ravel() for r in rotated])
        return [data for p, encoder in zip(payloads, encoders, strict=True) for data in (p, encoder.bytes())]

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        layouts = [maxabs.layout(shapes[s.name], s) for s in self.specs]
        sizes = [_take_sizes(side, count) for side, (count, _) in zip(sections[1::2], layouts, strict=True)]
        payloads = zip(sections[::2], layouts, strict=True)
        rotated = [
            self.quantiser.decode(data, count * width).reshape(count, width) for data, (count, width) in payloads
        ]
        vectors = _together(hadamard.backward, rotated)
        with np.errstate(over="ignore"):
            return {
                s.name: maxabs.from_vectors(v * size[:, None], s, shapes[s.name])
                for s, v, size in zip(self.specs, vectors, sizes, strict=True)
            }


class LloydMax:
    def __init__(self, codec: Codec) -> None:
        self.width = int(codec.level)

    def encode(self, parts: Sequence[np.ndarray]) -> list[bytes]:
        return [bits.pack(lloyd_max.quantise(values, self.width), self.width) for values in parts]

    def decode(self, data: bytes, count: int) -> np.ndarray:
        return lloyd_max.levels(self.width)[bits.unpack(data, self.width, count)]


class Uniform:
    def __init__(self, codec: Codec) -> None:
        self.step, self.table = codec.level, bank.index(np.array([1 / codec.level]))

    def encode(self, parts: Sequence[np.ndarray]) -> list[bytes]:
        return [self._encode(uniform.quantise(values, self.step)) for values in parts]

    def _encode(self, symbols: np.ndarray) -> bytes:
        encoder = Encoder()
        grouped.put(encoder, symbols[None], self.table, "gauss")
        return encoder.bytes()

    def decode(self, data: bytes, count: int) -> np.ndarray:
        decoder = Decoder(data)
        symbols = grouped.take(decoder, count, self.table, "gauss")[0]
        decoder.close()
        return uniform.dequantise(symbols, self.step)


class Lattice:
    """Blocks of 4 or 8 values; what is left at the end goes to plain integers."""

    def __init__(self, codec: Codec) -> None:
        self.name, self.dimension = codec.quantiser, lattice.DIMENSIONS[codec.quantiser]
        self.scale, self.rest = codec.level * lattice.SCALES[codec.quantiser], Uniform(codec)

    def encode(self, parts: Sequence[np.ndarray]) -> list[bytes]:
        """The nearest points of all tensors are looked for together."""
        ends = np.cumsum([values.size // self.dimension for values in parts])
        blocks = [self._whole(values).reshape(-1, self.dimension) for values in parts]
        joined = np.concatenate(blocks).T * np.float32(1 / self.scale) if parts else np.empty((self.dimension, 0))
        whole, coset = lattice.nearest(np.ascontiguousarray(joined, np.float32), self.name)
        found = zip(np.split(whole, ends[:-1], 1), np.split(coset, ends[:-1]), parts, strict=True) if parts else ()
        return [self._encode(points, cosets, values) for points, cosets, values in found]

    def _whole(self, values: np.ndarray) -> np.ndarray:
        return values[: values.size - values.size % self.dimension]

    def _encode(self, points: np.ndarray, cosets: np.ndarray, values: np.ndarray) -> bytes:
        encoder, rest = Encoder(), values[self._whole(values).size :]
        lattice_points.put(encoder, points, cosets, 1 / self.scale)
        grouped.put(encoder, uniform.quantise(rest, self.rest.step)[None], self.rest.table, "gauss")
        return encoder.bytes()

    def decode(self, data: bytes, count: int) -> np.ndarray:
        decoder = Decoder(data)
        points = lattice_points.take(decoder, self.dimension, count // self.dimension, 1 / self.scale)
        rest = grouped.take(decoder, count % self.dimension, self.rest.table, "gauss")[0]
        decoder.close()
        blocks = lattice.points(*points) * np.float32(self.scale)
        return np.concatenate([blocks.T.ravel(), uniform.dequantise(rest, self.rest.step)])


def _rms(vectors: np.ndarray) -> np.ndarray:
    """(n, size) -> (n,) float64, not quite 0."""
    if not vectors.size:
        return np.full(len(vectors), _SMALLEST)
    return np.maximum(np.sqrt(np.mean(np.square(vectors, dtype=np.float64), axis=1)), _SMALLEST)


def _take_sizes(side: bytes, count: int) -> np.ndarray:
    decoder = Decoder(side)
    sizes = scales.take_sizes(decoder, count)
    decoder.close()
    return sizes


def _together(transform: Callable[[np.ndarray], np.ndarray], parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Apply a transform of rows to matrices, those of one width in one call."""
    out = list(parts)
    for width in {p.shape[1] for p in parts}:
        chosen = [i for i, p in enumerate(parts) if p.shape[1] == width]
        joined = transform(np.concatenate([parts[i] for i in chosen]))
        ends = np.cumsum([len(parts[i]) for i in chosen])[:-1]
        for i, part in zip(chosen, np.split(joined, ends), strict=True):
            out[i] = part
    return out


_QUANTISERS = {"lloyd-max": LloydMax, "uniform": Uniform, "d4": Lattice, "e8": Lattice}
