"""Random signs and Hadamard transform, so that every value looks Gaussian: no calibration at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.with_side import WithSideCoder
from lamofc.entropy import bank, bits, grouped, lattice_points, scales
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.interfaces import Assets, TensorSpec
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


class Coder(WithSideCoder):
    """Payload: rotated values of unit size. Side: sizes (RMS) of the vectors."""

    side = "sizes"

    def __init__(self, specs: Sequence[TensorSpec], quantiser: LloydMax | Uniform | Lattice) -> None:
        super().__init__(specs)
        self.quantiser = quantiser

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> tuple[bytes, bytes]:
        vectors, encoder = maxabs.to_vectors(array, spec), Encoder()
        sizes = scales.put_sizes(encoder, np.maximum(_rms(vectors), _SMALLEST))
        rotated = hadamard.forward(vectors / sizes[:, None])
        return self.quantiser.encode(rotated.ravel()), encoder.bytes()

    def decode_tensor(self, payload: bytes, side: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        count, size = maxabs.layout(shape, spec)
        decoder = Decoder(side)
        sizes = scales.take_sizes(decoder, count)
        decoder.close()
        rotated = self.quantiser.decode(payload, count * size).reshape(count, size)
        with np.errstate(over="ignore"):
            return maxabs.from_vectors(hadamard.backward(rotated) * sizes[:, None], spec, shape)


class LloydMax:
    def __init__(self, codec: Codec) -> None:
        self.width = int(codec.level)

    def encode(self, values: np.ndarray) -> bytes:
        return bits.pack(lloyd_max.quantise(values, self.width), self.width)

    def decode(self, data: bytes, count: int) -> np.ndarray:
        return lloyd_max.levels(self.width)[bits.unpack(data, self.width, count)]


class Uniform:
    def __init__(self, codec: Codec) -> None:
        self.step, self.table = codec.level, bank.index(np.array([1 / codec.level]))

    def encode(self, values: np.ndarray) -> bytes:
        encoder = Encoder()
        grouped.put(encoder, uniform.quantise(values, self.step)[None], self.table, "gauss")
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

    def encode(self, values: np.ndarray) -> bytes:
        whole = values.size - values.size % self.dimension
        blocks = np.ascontiguousarray(values[:whole].reshape(-1, self.dimension).T) * np.float32(1 / self.scale)
        encoder = Encoder()
        lattice_points.put(encoder, *lattice.nearest(blocks, self.name), 1 / self.scale)
        grouped.put(encoder, uniform.quantise(values[whole:], self.rest.step)[None], self.rest.table, "gauss")
        return encoder.bytes()

    def decode(self, data: bytes, count: int) -> np.ndarray:
        decoder = Decoder(data)
        points = lattice_points.take(decoder, self.dimension, count // self.dimension, 1 / self.scale)
        rest = grouped.take(decoder, count % self.dimension, self.rest.table, "gauss")[0]
        decoder.close()
        blocks = lattice.points(*points) * np.float32(self.scale)
        return np.concatenate([blocks.T.ravel(), uniform.dequantise(rest, self.rest.step)])


def _rms(vectors: np.ndarray) -> np.ndarray:
    """(n, size) -> (n,) float64."""
    return np.sqrt(np.mean(np.square(vectors, dtype=np.float64), axis=1)) if vectors.size else np.zeros(len(vectors))


_QUANTISERS = {"lloyd-max": LloydMax, "uniform": Uniform, "d4": Lattice, "e8": Lattice}
