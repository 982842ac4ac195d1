"""Product quantisation after a rotation, indices entropy-coded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.dtypes import numpy_dtype
from lamofc.entropy import histogram, integers, planes
from lamofc.entropy.ans import Decoder, Encoder, Table
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import codebooks
from lamofc.transforms import klt, vectors
from lamofc.transforms.snap import snap

BOOKS = {"1x256": (1, 256), "2x256": (2, 256), "4x256": (4, 256), "8x256": (8, 256), "8x32": (8, 32),
         "16x64": (16, 64), "16x8": (16, 8), "32x8": (32, 8)}  # fmt: skip
VECTORS = 4096  # calibration vectors of a tensor
ESCAPE = 40.0  # an error beyond this multiple of the usual one at the same point sends the vector as it is


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """Parametric OPQ (Ge et al. 2013): principal components dealt out to groups of balanced product of variances, a
    codebook per group, indices under static tables. Assignment weighs bits (entropy-constrained).

    books: the knob, <dimensions of a group>x<entries of a codebook>.
    pressure: 0 assigns to the nearest entry, 1 at the slope of the rate-distortion function.
    """

    knob: ClassVar[str] = "books"
    family: ClassVar[str] = "vector"
    kinds: ClassVar[frozenset[str]] = frozenset({"tokens", "embedding", "key", "value"})
    fitted: ClassVar[bool] = True

    books: str = "8x256"
    pressure: float = 0.5

    def __post_init__(self) -> None:
        if self.books not in BOOKS:
            raise ValueError(f"books {self.books!r} is none of {', '.join(BOOKS)}")
        if not 0 <= self.pressure <= 4:
            raise ValueError(f"pressure {self.pressure} is not in 0 .. 4")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """Per tensor mean, basis and usual energy; per entry of BOOKS the grouping, codebooks and counts."""
        assets: dict[str, np.ndarray] = {}
        for name, columns in vectors.gather(specs, samples, VECTORS).items():
            usual = columns[:, _is_usual(columns)]
            mean, covariance = klt.moments(usual)
            basis, variances = klt.basis(klt.towards_diagonal(covariance, usual.shape[1]))
            basis = basis.astype(np.float16).astype(np.float64)
            energy = max(float(variances.sum()), 1e-30)
            turned = (basis.T @ (usual.astype(np.float64) - mean[:, None]) / _unit(energy, len(mean))).astype(
                np.float32
            )
            assets |= {f"{name}/mean": mean.astype(np.float32), f"{name}/basis": basis.astype(np.float16),
                       f"{name}/energy": np.array([energy], np.float32)}  # fmt: skip
            for label, (width, size) in BOOKS.items():
                order = _dealt(variances, width)
                grouped = _grouped(turned, order, len(order) // width).transpose(0, 2, 1)
                books, counts = codebooks.fit(np.ascontiguousarray(grouped), size, self.pressure)
                errors = [codebooks.nearest(*g, np.zeros(size))[1].mean() for g in zip(grouped, books, strict=True)]
                shares = np.rint(counts / counts.sum(1, keepdims=True) * 60000)
                # few calibration vectors are all met exactly: no less than the rate-distortion function of their energy
                error = max(sum(errors) * _unit(energy, len(mean)) ** 2, energy * size ** (-2 / width))
                assets |= {f"{name}/{label}/order": order, f"{name}/{label}/error": np.array([error], np.float32),
                            f"{name}/{label}/books": books.astype(np.float16),
                           f"{name}/{label}/counts": np.maximum(shares, 1).astype(np.uint16)}  # fmt: skip
        return assets

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs, assets)


class Coder(PerTensorCoder):
    """A section: number and gaps of escaped vectors, their values in native dtype, indices of the others."""

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        super().__init__(specs)
        self.codec = codec
        try:
            self._parts = {s.name: _Parts(assets, s.name, codec) for s in specs}
        except KeyError as error:
            raise ConfigError(f"no asset {error}: fit the codec on calibration features") from None

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        if not array.size:
            return b""
        parts, given = self._parts[spec.name], vectors.to_vectors(array, spec)
        indices = parts.assign(given)
        error = ((parts.rebuild(indices).astype(np.float64) - given) ** 2).sum(0)
        escaped = ~(error <= ESCAPE * parts.error)
        encoder, places = Encoder(), np.flatnonzero(escaped)
        integers.put(encoder, np.array([len(places)]))
        integers.put(encoder, np.diff(places, prepend=-1) - 1)
        for plane in planes.split(_native(array, spec)[places]):
            histogram.put(encoder, plane, 256)
        encoder.put_rows(np.ascontiguousarray(indices[:, ~escaped]), parts.tables)
        return encoder.bytes()

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        parts, count = self._parts[spec.name], vectors.count(shape, spec)
        if not np.prod(shape):
            return vectors.from_vectors(np.zeros((vectors.dimension(spec), count), np.float32), spec, shape)
        decoder = Decoder(data)
        number = int(integers.take(decoder, 1)[0])
        if number > count:
            raise BitstreamError(f"{spec.name}: {number} vectors of {count} are sent as they are")
        places = np.cumsum(integers.take(decoder, number) + 1) - 1
        if number and places[-1] >= count:
            raise BitstreamError(f"{spec.name}: vector {places[-1]} of {count}")
        width, size = numpy_dtype(spec.dtype).itemsize, number * vectors.dimension(spec)
        exact = np.stack([histogram.take(decoder, size, 256).astype(np.uint8) for _ in range(width)])
        coded = np.ones(count, bool)
        coded[places] = False
        indices = np.zeros((len(parts.tables), count), np.int32)
        indices[:, coded] = decoder.take_rows(int(coded.sum()), parts.tables)
        decoder.close()
        out = vectors.from_vectors(parts.rebuild(indices), spec, shape)
        rows = _native(out, spec)
        rows[places] = planes.merge(exact, spec.dtype, (number, vectors.dimension(spec)))
        return _from_native(rows, spec, shape)


class _Parts:
    """One tensor's rotation and codebooks at one point."""

    def __init__(self, assets: Assets, name: str, codec: Codec) -> None:
        at = f"{name}/{codec.books}"
        self.mean, self.basis = assets[f"{name}/mean"].astype(np.float64), assets[f"{name}/basis"].astype(np.float64)
        self.energy, self.error = (float(assets[k][0]) for k in (f"{name}/energy", f"{at}/error"))
        self.order = assets[f"{at}/order"].astype(np.int64)
        self.books, counts = assets[f"{at}/books"].astype(np.float32), assets[f"{at}/counts"].astype(np.int64)
        self.tables = Table.of_rows(counts)
        width = BOOKS[codec.books][0]
        bits = np.log2(counts.sum(1, keepdims=True) / counts)
        self._unit = _unit(self.energy, len(self.mean))
        # as in quantisers/codebooks.py, with the distortion that the rate promises; in units of `_unit` squared
        self._prices = codec.pressure * 2 * np.log(2) * 2.0 ** (-2 * bits.mean() / width) * bits

    def assign(self, given: np.ndarray) -> np.ndarray:
        """(dimension, n) -> (groups, n) int32."""
        turned = self.basis.T @ (given.astype(np.float64) - self.mean[:, None]) / self._unit
        grouped = _grouped(turned, self.order, len(self.books))
        found = [codebooks.nearest(x.T, b, p)[0] for x, b, p in zip(grouped, self.books, self._prices, strict=True)]
        return np.array(found, np.int32).reshape(len(self.books), given.shape[1])

    def rebuild(self, indices: np.ndarray) -> np.ndarray:
        """(groups, n) -> (dimension, n) float32, equal on every machine."""
        chosen = np.stack([book[i] for book, i in zip(self.books, indices, strict=True)])  # (groups, n, width)
        flat = chosen.transpose(0, 2, 1).reshape(-1, indices.shape[1]).astype(np.float64)
        components = np.zeros((len(self.mean), indices.shape[1]))
        kept = self.order < len(self.mean)
        components[self.order[kept]] = flat[kept]
        return snap(self.basis @ (components * self._unit) + self.mean[:, None], self._unit).astype(np.float32)


def _dealt(variances: np.ndarray, width: int) -> np.ndarray:
    """Component of every place, group after group, so that groups have about equal products of variances; places
    without one hold the number of components. uint16."""
    groups = -(-len(variances) // width)
    logs = np.log(np.maximum(variances, 1e-12 * max(float(variances.max(initial=0)), 1e-60)))
    order, filled, products = np.full((groups, width), len(variances)), np.zeros(groups, int), np.zeros(groups)
    for component, log in enumerate(logs - logs.min(initial=0)):
        group = int(np.argmin(np.where(filled < width, products, np.inf)))
        order[group, filled[group]] = component
        filled[group] += 1
        products[group] += log
    return order.ravel().astype(np.uint16)


def _grouped(turned: np.ndarray, order: np.ndarray, groups: int) -> np.ndarray:
    """(dimension, n) -> (groups, width, n), zeros where a group has no component left."""
    padded = np.concatenate([turned, np.zeros((1, turned.shape[1]), turned.dtype)])
    return padded[order.astype(np.int64)].reshape(groups, len(order) // max(groups, 1), turned.shape[1])


def _unit(energy: float, dimension: int) -> float:
    """Root mean square of an entry of a vector."""
    return float(np.sqrt(energy / max(1, dimension)))


def _is_usual(columns: np.ndarray) -> np.ndarray:
    sizes = np.sqrt((columns.astype(np.float64) ** 2).mean(0))
    return sizes <= 3 * np.median(sizes) if len(sizes) else np.zeros(0, bool)


def _native(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Natural shape -> (vectors, dimension), native dtype, positions of keys left as they are."""
    tokens = array.transpose(1, 0, 2) if spec.kind in ("key", "value") else array
    return np.ascontiguousarray(tokens.reshape(tokens.shape[0], -1))


def _from_native(rows: np.ndarray, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    if spec.kind in ("key", "value"):
        return np.ascontiguousarray(rows.reshape(shape[1], shape[0], shape[2]).transpose(1, 0, 2))
    return rows.reshape(shape)
