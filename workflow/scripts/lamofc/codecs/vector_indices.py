"""Coder of vectors as indices of product codebooks; a vector that they miss by far is sent as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lamofc.codecs.per_tensor import PerTensorCoder
from lamofc.dtypes import numpy_dtype
from lamofc.entropy import histogram, integers, planes
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import TensorSpec
from lamofc.quantisers.product import Product
from lamofc.transforms import vectors

ESCAPE = 40.0  # an error beyond this multiple of the usual one at the same point sends the vector as it is


class Coder(PerTensorCoder):
    """A section: number and gaps of escaped vectors, their values in native dtype, indices of the others."""

    def __init__(self, specs: Sequence[TensorSpec], product: Callable[[TensorSpec], Product]) -> None:
        super().__init__(specs)
        try:
            self._parts = {s.name: product(s) for s in specs}
        except KeyError as error:
            raise ConfigError(f"no asset {error}: fit the codec on calibration features") from None

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        if not array.size:
            return b""
        parts, given = self._parts[spec.name], vectors.to_vectors(array, spec)
        # keys at the edge of float32 leave it when their rotation is undone; an error of NaN sends them as they are
        with np.errstate(invalid="ignore"):
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
        indices = np.zeros((len(parts.books), count), np.int32)
        indices[:, coded] = decoder.take_rows(int(coded.sum()), parts.tables)
        decoder.close()
        out = vectors.from_vectors(parts.rebuild(indices), spec, shape)
        rows = _native(out, spec)
        rows[places] = planes.merge(exact, spec.dtype, (number, vectors.dimension(spec)))
        return _from_native(rows, spec, shape)


def _native(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Natural shape -> (vectors, dimension), native dtype, positions of keys left as they are."""
    tokens = array.transpose(1, 0, 2) if spec.kind in ("key", "value") else array
    return np.ascontiguousarray(tokens.reshape(tokens.shape[0], -1))


def _from_native(rows: np.ndarray, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
    if spec.kind in ("key", "value"):
        return np.ascontiguousarray(rows.reshape(shape[1], shape[0], shape[2]).transpose(1, 0, 2))
    return rows.reshape(shape)
