"""DT-UFC k-means tables and a one-channel scale hyperprior: the anchor of LaMoFCBench."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.dtypes import from_float32, to_float32
from lamofc.entropy import histogram
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.networks import files
from lamofc.packing.planes import PACKINGS, Layout
from lamofc.transforms import kmeans_table

TABLE = "table/"
CORRECTION = "/correction"


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """DT-UFC (arXiv:2506.16495) with the hyperprior of LaMoFCBench (arXiv:2605.24025).

    Each value becomes the index of a level of its tensor's 256-level k-means table; index / 256 is an image plane,
    coded by a scale hyperprior (Balle et al., ICLR 2018) whose networks were trained on planes of several models.

    lmbda: the knob, a lambda of `network`: how much plane MSE weighs against bits.
    assign: level a value takes: "nearest", or "floor", the one below, as published, at about four times the MSE.
    recon: what an index becomes: "centroid", its level, or "midpoint", the middle of the values it stands for.
    network: row of config/networks.yaml.
    packing: "paper" pads every side with zeros to a multiple of 64; "tight" folds and pads as little as possible.
    samples: calibration samples that tables are fitted on.
    correct: send what the network misses of the indices too, without loss, so that only the table's own error is left.
        The networks alone do not reach that: one level off, where levels are far apart, moves a language model's
        largest values by more than all other errors together. Not part of the published codec.
    """

    knob = "lmbda"
    family = "learned"
    fitted = True
    network_field: ClassVar[str] = "network"

    lmbda: float = 0.02
    assign: str = "nearest"
    recon: str = "centroid"
    network: str = "hyperprior-small"
    packing: str = "tight"
    samples: int = 10
    correct: bool = False

    def __post_init__(self) -> None:
        for field, allowed in (("assign", kmeans_table.ASSIGN), ("recon", kmeans_table.RECON), ("packing", PACKINGS)):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} {getattr(self, field)!r} is none of {', '.join(allowed)}")
        if not self.lmbda > 0 or self.samples < 1:
            raise ValueError(f"lmbda {self.lmbda} and samples {self.samples} must be positive")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """One table of 256 float32 per tensor, from the first `samples` calibration samples."""
        seen = list(islice(samples, self.samples))
        flat = {s.name: [to_float32(x[s.name]).ravel() for x in seen] for s in specs}
        return {TABLE + n: kmeans_table.fit_table(np.concatenate([np.zeros(0), *a])) for n, a in flat.items()}

    def plane_size(self, spec: TensorSpec, shape: tuple[int, ...]) -> int:
        """Values of the plane that a tensor of this shape becomes, padding included."""
        return math.prod(Layout(spec.kind, tuple(shape), self.packing).plane_shape)

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs, assets)


class Coder:
    """One section per tensor: the rANS stream of its hyper-latents and latents; empty for an empty tensor. With
    `correct` as many follow, of the errors of the indices.

    Planes of equal size go through the network together, on both sides alike.
    """

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        from lamofc.networks.coding import network

        self.codec, self.specs = codec, list(specs)
        self._names = [s.name for s in specs]
        self.sections = self._names + [n + CORRECTION for n in self._names if codec.correct]
        arrays = {k.removeprefix(files.PREFIX): v for k, v in assets.items() if k.startswith(files.PREFIX)}
        self._network = network(files.of_lambda(arrays, codec.lmbda, codec.network))
        self._tables = {s.name: _table(assets, s.name) for s in specs}

    def encode(self, sample: Sample) -> list[bytes]:
        payloads = dict.fromkeys(self.sections, b"")
        for size, members in self._groups({s.name: sample[s.name].shape for s in self.specs}):
            indices = {name: self._indices(sample[name], name) for name, _ in members}
            planes = np.stack([layout.pack(indices[name]).astype(np.float32) for name, layout in members])
            coded = self._network.encode(planes / kmeans_table.LEVELS)
            payloads |= {name: data for (name, _), data in zip(members, coded, strict=True)}
            if self.codec.correct:
                found = self._network.decode(coded, *size)
                for plane, (name, layout) in zip(found, members, strict=True):
                    payloads[name + CORRECTION] = _put_errors(indices[name], _rounded(plane, layout))
        return [payloads[name] for name in self.sections]

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        payloads = dict(zip(self.sections, sections, strict=True))
        groups = self._groups(shapes)
        out: Sample = {}
        for size, members in groups:
            planes = self._network.decode([payloads.pop(name) for name, _ in members], *size)
            for plane, (name, layout) in zip(planes, members, strict=True):
                indices = _rounded(plane, layout)
                if self.codec.correct:
                    indices = _take_errors(payloads.pop(name + CORRECTION), indices)
                out[name] = self._values(indices, name)
        if any(payloads.values()):
            raise BitstreamError(f"bytes for empty tensors: {', '.join(n for n, d in payloads.items() if d)}")
        out |= {name: np.zeros(shapes[name], np.float32) for name in self._names if name not in out}
        return {s.name: from_float32(out[s.name], s.dtype) for s in self.specs}

    def _groups(self, shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[tuple[int, int], list[tuple[str, Layout]]]]:
        """Tensors with elements, by the size of their planes."""
        groups = defaultdict(list)
        for spec in self.specs:
            if np.prod(shapes[spec.name]):
                layout = Layout(spec.kind, tuple(shapes[spec.name]), self.codec.packing)
                groups[layout.plane_shape].append((spec.name, layout))
        return list(groups.items())

    def _indices(self, array: np.ndarray, name: str) -> np.ndarray:
        return kmeans_table.assign(to_float32(array), self._tables[name], self.codec.assign)

    def _values(self, indices: np.ndarray, name: str) -> np.ndarray:
        return kmeans_table.points(self._tables[name], self.codec.assign, self.codec.recon)[indices]


def _rounded(plane: np.ndarray, layout: Layout) -> np.ndarray:
    """Decoded plane -> indices in natural shape, uint8."""
    levels = np.rint(layout.unpack(plane) * kmeans_table.LEVELS)
    return np.clip(levels, 0, kmeans_table.LEVELS - 1).astype(np.uint8)


def _put_errors(indices: np.ndarray, found: np.ndarray) -> bytes:
    encoder = Encoder()
    histogram.put(encoder, indices.astype(np.uint8) - found + np.uint8(128), kmeans_table.LEVELS)  # modulo 256
    return encoder.bytes()


def _take_errors(data: bytes, found: np.ndarray) -> np.ndarray:
    decoder = Decoder(data)
    errors = histogram.take(decoder, found.size, kmeans_table.LEVELS).astype(np.uint8)
    decoder.close()
    return found + errors.reshape(found.shape) - np.uint8(128)


def _table(assets: Assets, name: str) -> np.ndarray:
    table = assets.get(TABLE + name)
    if table is None or table.shape != (kmeans_table.LEVELS,):
        raise ConfigError(f"dtufc: no k-means table for tensor {name}; run its fit on calibration features")
    return np.asarray(table, np.float32)
