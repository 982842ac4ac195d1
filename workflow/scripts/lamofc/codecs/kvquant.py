"""Keys before their rotation under calibrated non-uniform levels, values per token, outliers apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.with_side import WithSideCoder
from lamofc.dtypes import from_float32, to_float32
from lamofc.entropy import coded, mask, packed
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import kmeans1d
from lamofc.transforms import vectors

_MAX_BITS = 8
_FITTED_VALUES = 1 << 16
_LARGEST = np.finfo(np.float32).max
_SMALLEST = 2.0**-100


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """KVQuant (Hooper et al. 2024), its levels fitted to squared error alone, not to gradients.

    Keys are normalised by calibrated ranges of their channels, rotation by position undone; values by the range of
    their token, which is sent. What lies outside, about `outliers` of all, is sent apart in native dtype.
    bits: the knob, 1 .. 8 per value: indices into the tensor's levels.
    entropy: code indices and outliers under tables fitted to them, instead of packing them.
    """

    knob: ClassVar[str] = "bits"
    family: ClassVar[str] = "kv"
    kinds: ClassVar[frozenset[str]] = frozenset({"key", "value"})
    fitted: ClassVar[bool] = True

    bits: int = 4
    outliers: float = 0.01
    entropy: bool = False

    def __post_init__(self) -> None:
        if self.bits not in range(1, _MAX_BITS + 1):
            raise ValueError(f"bits {self.bits} is outside 1 .. {_MAX_BITS}")
        if not 0 <= self.outliers <= 0.2:
            raise ValueError(f"outliers {self.outliers} is outside 0 .. 0.2")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """Assets `<tensor>/levels`, those of 1 .. 8 bits one after another, and `<tensor>/ranges` of keys."""
        found, out = vectors.gather(specs, samples), {}
        for spec in specs:
            matrix = np.clip(found[spec.name], -_LARGEST, _LARGEST)
            ranges = _ranges(matrix, 1 if spec.kind == "key" else 0, self.outliers)
            if spec.kind == "key":
                out[f"{spec.name}/ranges"] = ranges
            inside = _normalise(matrix, ranges, spec)
            inside = inside[np.abs(inside) <= 1]
            inside = inside[:: max(1, inside.size // _FITTED_VALUES)]
            out[f"{spec.name}/levels"] = np.concatenate([kmeans1d.fit(inside, b + 1) for b in range(_MAX_BITS)])
        return out

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs, assets)


class Coder(WithSideCoder):
    """Payload: indices, then outliers. Side: ranges of tokens (values only), then where the outliers are."""

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        super().__init__(specs)
        self.codec, self.store = codec, coded if codec.entropy else packed
        first = (1 << codec.bits) - 2
        self.levels = {s.name: _asset(assets, s, "levels")[first : 2 * first + 2] for s in specs}
        self.finders = {name: kmeans1d.Finder(levels) for name, levels in self.levels.items()}
        self.ranges = {s.name: _asset(assets, s, "ranges") for s in specs if s.kind == "key"}
        for spec in specs:
            if spec.kind == "key" and self.ranges[spec.name].shape != (2, spec.channels):
                raise ConfigError(f"assets of {spec.name} are not for {spec.channels} channels")

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> tuple[bytes, bytes]:
        matrix = np.clip(vectors.to_vectors(array, spec), -_LARGEST, _LARGEST)
        ranges, coded_ranges = self.ranges.get(spec.name), b""
        if ranges is None:
            narrow = from_float32(_ranges(matrix, 0, self.codec.outliers), "bfloat16")
            ranges, coded_ranges = to_float32(narrow), narrow.tobytes()
        normal = _normalise(matrix, ranges, spec)
        outside = np.abs(normal) > 1
        indices = self.finders[spec.name].nearest(normal)
        indices[outside] = 0
        encoder = Encoder()
        _put_mask(encoder, outside)
        payload = self.store.put(indices, self.codec.bits, from_float32(matrix[outside], spec.dtype))
        return payload, coded_ranges + encoder.bytes()

    def decode_tensor(self, payload: bytes, side: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        size = (vectors.dimension(spec), vectors.count(shape, spec))
        ranges, split = self.ranges.get(spec.name), 0
        if ranges is None:
            ranges, split = _read_ranges(side, size[1]), 4 * size[1]
        decoder = Decoder(side[split:])
        outside = _take_mask(decoder, size)
        decoder.close()
        count, apart = size[0] * size[1], int(outside.sum())
        indices, values = self.store.take(payload, count, self.codec.bits, spec.dtype, (apart,))
        if not np.isfinite(to_float32(values)).all():
            raise BitstreamError(f"{spec.name}: an outlier is NaN or infinite")
        matrix = _restore(self.levels[spec.name][indices].reshape(size), ranges, spec)
        matrix[outside] = to_float32(values)
        with np.errstate(over="ignore"):
            out = vectors.from_vectors(matrix, spec, shape)
        return np.clip(out, -_LARGEST, _LARGEST) if spec.dtype == "float32" else out


def _asset(assets: Assets, spec: TensorSpec, part: str) -> np.ndarray:
    try:
        return assets[f"{spec.name}/{part}"]
    except KeyError as error:
        raise ConfigError(f"no asset {error}: fit the codec on calibration features of {spec.name}") from None


def _ranges(matrix: np.ndarray, axis: int, outliers: float) -> np.ndarray:
    """(channels, tokens) -> (2, rest) float32: middle and half width of what is inside, along `axis`."""
    count = matrix.shape[axis]
    if not matrix.size:
        return np.stack([np.zeros(matrix.shape[1 - axis]), np.ones(matrix.shape[1 - axis])]).astype(np.float32)
    beyond = int(outliers / 2 * count + 0.5)
    rows = np.ascontiguousarray(matrix if axis else matrix.T)
    ordered = np.partition(rows, sorted({beyond, count - 1 - beyond}), 1)
    low, high = (ordered[:, i].astype(np.float64) for i in (beyond, count - 1 - beyond))
    return np.stack([(low + high) / 2, np.maximum((high - low) / 2, _SMALLEST)]).astype(np.float32)


def _read_ranges(side: bytes, tokens: int) -> np.ndarray:
    if len(side) < 4 * tokens:
        raise BitstreamError(f"{len(side)} bytes do not hold the ranges of {tokens} tokens")
    bits = np.frombuffer(side[: 4 * tokens], "<u2").astype(np.uint32) << np.uint32(16)
    ranges = bits.view(np.float32).reshape(2, tokens)
    if not np.isfinite(ranges).all() or (ranges[1] <= 0).any():
        raise BitstreamError("range of a token is not positive and finite")
    return ranges


def _normalise(matrix: np.ndarray, ranges: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """(channels, tokens) -> the same, -1 .. 1 inside."""
    middle, half = (r[:, None] if spec.kind == "key" else r for r in ranges)
    with np.errstate(over="ignore"):
        return np.clip((matrix - middle) / half, -_LARGEST, _LARGEST)


def _restore(normal: np.ndarray, ranges: np.ndarray, spec: TensorSpec) -> np.ndarray:
    middle, half = (r[:, None] if spec.kind == "key" else r for r in ranges)
    with np.errstate(over="ignore"):
        return np.clip(normal * half + middle, -_LARGEST, _LARGEST)


def _put_mask(encoder: Encoder, outside: np.ndarray) -> None:
    if outside.size:
        mask.put(encoder, outside.reshape(1, -1))


def _take_mask(decoder: Decoder, size: tuple[int, int]) -> np.ndarray:
    count = size[0] * size[1]
    return mask.take(decoder, 1, count).reshape(size) if count else np.zeros(size, bool)
