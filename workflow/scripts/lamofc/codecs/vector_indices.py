"""Coder of vectors as indices of product codebooks; a vector that they miss by far is sent as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.dtypes import numpy_dtype
from lamofc.entropy import histogram, integers, planes
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import Assets, TensorSpec
from lamofc.quantisers.product import Product
from lamofc.transforms import vectors

ESCAPE = 40.0  # an error beyond this multiple of the usual one at the same point sends the vector as it is


class Coder(PerTensorCoder):
    """A section: first tokens that have a mean of their own, then the others, each as: number and gaps of escaped
    vectors, their values in native dtype, indices of the rest."""

    def __init__(
        self, specs: Sequence[TensorSpec], product: Callable[[TensorSpec, bool], Product], assets: Assets
    ) -> None:
        """product: a tensor's quantiser, the finer one of its first tokens where the flag says so."""
        super().__init__(specs)
        self._firsts = {s.name: assets[f"{s.name}/first"] for s in specs if f"{s.name}/first" in assets}
        try:
            self._parts = {s.name: product(s, False) for s in specs}
            self._finer = {s.name: product(s, True) for s in specs if s.name in self._firsts}
        except KeyError as error:
            raise ConfigError(f"no asset {error}: fit the codec on calibration features") from None

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        if not array.size:
            return b""
        given, native, encoder = vectors.to_vectors(array, spec), _native(array, spec), Encoder()
        for parts, chosen, shift in self._runs(spec, given.shape[1]):
            _put(encoder, given[:, chosen] - shift, native[chosen], parts)
        return encoder.bytes()

    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        count, size = vectors.count(shape, spec), vectors.dimension(spec)
        found = np.zeros((size, count), np.float32)
        if not np.prod(shape):
            return vectors.from_vectors(found, spec, shape)
        decoder, exact = Decoder(data), []
        for parts, chosen, shift in self._runs(spec, count):
            coded, places, planes_of = _take(decoder, spec, chosen.stop - chosen.start, parts)
            found[:, chosen] = coded + shift
            exact.append((places + chosen.start, planes_of))
        decoder.close()
        rows = _native(vectors.from_vectors(found, spec, shape), spec)
        for places, planes_of in exact:
            rows[places] = planes.merge(planes_of, spec.dtype, (len(places), size))
        return _from_native(rows, spec, shape)

    def _runs(self, spec: TensorSpec, count: int) -> Iterator[tuple[Product, slice, np.ndarray | float]]:
        """Quantiser, vectors, and what is taken from them before: own means of first tokens in place of the common one.

        Minus zero where there is nothing to take, which leaves the sign of zeros alone.
        """
        first = self._firsts.get(spec.name)
        apart = 0 if first is None else min(first.shape[1], count)
        if apart:
            parts = self._finer[spec.name]
            yield parts, slice(0, apart), (first[:, :apart] - parts.mean[:, None]).astype(np.float32)
        if count > apart or not apart:
            yield self._parts[spec.name], slice(apart, count), np.float32(-0.0)


def _put(encoder: Encoder, given: np.ndarray, native: np.ndarray, parts: Product) -> None:
    # keys at the edge of float32 leave it when their rotation is undone; an error of NaN sends them as they are
    with np.errstate(invalid="ignore"):
        indices, within = parts.assign_within(given, ESCAPE * parts.error)
    escaped = ~within
    places = np.flatnonzero(escaped)
    integers.put_one(encoder, len(places))
    integers.put(encoder, np.diff(places, prepend=-1) - 1)
    for plane in planes.split(native[places]):
        histogram.put(encoder, plane, 256)
    encoder.put_rows(np.ascontiguousarray(indices[:, ~escaped]), parts.tables)


def _take(decoder: Decoder, spec: TensorSpec, count: int, parts: Product) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> vectors (dimension, count) float32; which of them are sent as they are, and the byte planes of those."""
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
    indices = np.zeros((len(parts.books), count), np.int32)
    indices[:, coded] = decoder.take_rows(int(coded.sum()), parts.tables)
    return parts.rebuild(indices), places, exact


def _native(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Natural shape -> (vectors, dimension), native dtype, positions of keys left as they are."""
    tokens = array.transpose(1, 0, 2) if spec.kind in ("key", "value") else array
    return np.ascontiguousarray(tokens.reshape(tokens.shape[0], -1))


def _from_native(rows: np.ndarray, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    if spec.kind in ("key", "value"):
        return np.ascontiguousarray(rows.reshape(shape[1], shape[0], shape[2]).transpose(1, 0, 2))
    return rows.reshape(shape)
