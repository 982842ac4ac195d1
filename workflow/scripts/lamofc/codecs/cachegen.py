"""Differences to an anchor token, few bins in deep layers, one table per layer and channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.with_side import WithSideCoder
from lamofc.entropy import adaptive, channel_tables, scales
from lamofc.entropy.ans import Decoder, Encoder, Rows
from lamofc.errors import ConfigError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import maxabs

_ANCHOR_TOP = 127
_SHARES = (1.0, 1 / 2, 1 / 3)  # of the bins, in the first, middle and last third of the layers
_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """CacheGen (Liu et al. 2024): every tenth token is an anchor at 8 bits, the others are coded as differences to it.

    bins: the knob: bins on either side of zero, up to the token's largest difference, in the first third of the layers
        that the stream holds; half as many in the middle third, a third in the last.
    group: tokens from one anchor to the next.
    tables: "calibrated" takes the distribution of each channel from assets; "stream" sends it with every sample.
    """

    knob: ClassVar[str] = "bins"
    family: ClassVar[str] = "kv"
    kinds: ClassVar[frozenset[str]] = frozenset({"key", "value"})
    fitted: ClassVar[bool] = True

    bins: int = 12
    group: int = 10
    tables: str = "calibrated"

    def __post_init__(self) -> None:
        if self.bins not in range(1, channel_tables.REACH + 1):
            raise ValueError(f"bins {self.bins} is outside 1 .. {channel_tables.REACH}")
        if self.group < 2:
            raise ValueError(f"group {self.group} leaves no token between anchors")
        if self.tables not in ("calibrated", "stream"):
            raise ValueError(f"tables {self.tables!r} is neither 'calibrated' nor 'stream'")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """Assets `<tensor>/differences`, of `channel_tables`, and `<tensor>/anchors`, levels of `scales`."""
        if self.tables == "stream":
            return {}
        found = {s.name: _Statistics(s.channels) for s in specs}
        for sample in samples:
            for spec in specs:
                tokens = maxabs.to_vectors(sample[spec.name], spec).reshape(-1, spec.channels)
                found[spec.name].add(*_quantise(tokens, self.group, channel_tables.REACH)[:2])
        return {f"{name}/{part}": array for name, s in found.items() for part, array in s.assets().items()}

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs, assets)


class Coder(WithSideCoder):
    """Payload: anchors, then differences. Side: largest absolute values of all tokens, two bytes each."""

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        super().__init__(specs)
        self.codec, self.tops = codec, _tops(codec.bins, specs)
        self.anchors: dict[str, np.ndarray] = {}
        self.tables: dict[str, Rows] = {}
        for spec in specs if codec.tables == "calibrated" else ():
            levels, differences = (_asset(assets, spec, part) for part in ("anchors", "differences"))
            self.anchors[spec.name] = scales.tables(levels, 1 / _ANCHOR_TOP)
            self.tables[spec.name] = channel_tables.calibrated(differences, self.tops[spec.name])

    def encode(self, sample: Sample) -> list[bytes]:
        queue = adaptive.Queue()
        started = [self._start(sample[s.name], s, queue) for s in self.specs]
        queue.run()
        return [data for encoder, side in started for data in (encoder.bytes(), side)]

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> tuple[bytes, bytes]:
        queue = adaptive.Queue()
        encoder, side = self._start(array, spec, queue)
        queue.run()
        return encoder.bytes(), side

    def _start(self, array: np.ndarray, spec: TensorSpec, queue: adaptive.Queue) -> tuple[Encoder, bytes]:
        tokens = maxabs.to_vectors(array, spec).reshape(-1, spec.channels)
        top, encoder = self.tops[spec.name], Encoder()
        anchors, differences, side = _quantise(tokens, self.codec.group, top)
        queue.put(encoder, np.ascontiguousarray(anchors.T), self.anchors.get(spec.name))
        tables = self.tables.get(spec.name)
        channel_tables.put(encoder, np.ascontiguousarray(differences.T), top, tables, queue)
        return encoder, side

    def decode_tensor(self, payload: bytes, side: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        count, size = shape[1], spec.channels
        top, is_anchor = self.tops[spec.name], np.arange(count) % self.codec.group == 0
        sizes, decoder = maxabs.read(side, count), Decoder(payload)
        first = int(is_anchor.sum())
        anchors = adaptive.take(decoder, size, first, self.anchors.get(spec.name)).T
        differences = channel_tables.take(decoder, size, count - first, top, self.tables.get(spec.name)).T
        decoder.close()
        out = np.empty((count, size), np.float32)
        out[is_anchor] = _restore(anchors, sizes[is_anchor], _ANCHOR_TOP)
        with np.errstate(over="ignore"):
            base = out[is_anchor][np.arange(count) // self.codec.group][~is_anchor]
            out[~is_anchor] = base + _restore(differences, sizes[~is_anchor], top)
        return maxabs.from_vectors(out, spec, shape)


class _Statistics:
    """What calibration sees of one tensor."""

    def __init__(self, channels: int) -> None:
        self.counts = np.zeros((channels, 2 * channel_tables.REACH + 1), np.int64)
        self.sizes, self.anchors = np.zeros(channels), 0

    def add(self, anchors: np.ndarray, differences: np.ndarray) -> None:
        channel_tables.count(self.counts, differences)
        self.sizes += np.abs(anchors).sum(0)
        self.anchors += len(anchors)

    def assets(self) -> dict[str, np.ndarray]:
        sigma = np.sqrt(2) * self.sizes / max(self.anchors, 1) / _ANCHOR_TOP
        return {"differences": channel_tables.levels(self.counts), "anchors": scales.levels(sigma, 1.0)}


def _quantise(tokens: np.ndarray, group: int, top: int) -> tuple[np.ndarray, np.ndarray, bytes]:
    """(tokens, channels) float32 -> anchors and differences as int32 rows, bytes of all tokens' scales."""
    is_anchor = np.arange(len(tokens)) % group == 0
    anchors, sizes = _levels(tokens[is_anchor], _ANCHOR_TOP)
    base = _restore(anchors, sizes, _ANCHOR_TOP)[np.arange(len(tokens)) // group][~is_anchor]
    with np.errstate(over="ignore"):
        rest = np.clip(tokens[~is_anchor] - base, -_LARGEST, _LARGEST)
    differences, spread = _levels(rest, top)
    coded = np.empty(len(tokens), np.float32)
    coded[is_anchor], coded[~is_anchor] = sizes, spread
    return anchors, differences, maxabs.write(coded)


def _levels(values: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, channels) -> integers -top .. top, largest absolute values (tokens,)."""
    sizes = maxabs.scales(values)[0]
    return np.rint(values * (top / sizes)[:, None]).clip(-top, top).astype(np.int32), sizes


def _restore(levels: np.ndarray, sizes: np.ndarray, top: int) -> np.ndarray:
    return levels.astype(np.float32) * (sizes / np.float32(top))[:, None]


def _tops(bins: int, specs: Sequence[TensorSpec]) -> dict[str, int]:
    """Bins on either side of zero, per tensor."""
    depths = sorted({s.layer or 0 for s in specs})
    thirds = {layer: 3 * i // len(depths) for i, layer in enumerate(depths)}
    return {s.name: max(1, int(bins * _SHARES[thirds[s.layer or 0]])) for s in specs}


def _asset(assets: Assets, spec: TensorSpec, part: str) -> np.ndarray:
    try:
        array = assets[f"{spec.name}/{part}"]
    except KeyError as error:
        raise ConfigError(f"no asset {error}: fit the codec on calibration features of {spec.name}") from None
    if len(array) != spec.channels:
        raise ConfigError(f"assets of {spec.name} are for {len(array)} channels, not {spec.channels}")
    return array
