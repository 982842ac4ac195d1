"""Tensors that do not fit their profile in the codec `tailor`: plain rows at a step of equal mean error."""

from __future__ import annotations

import numpy as np

from lamofc.codecs.tailor_profile import Profile
from lamofc.entropy import adaptive
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.quantisers import uniform
from lamofc.transforms import rows, vectors

_LARGEST = float(np.finfo(np.float32).max)


def centred(array: np.ndarray, own: Profile) -> np.ndarray:
    """A decoded tensor's vectors without their mean, as the arithmetic has them."""
    found = np.clip(vectors.to_vectors(array, own.spec), -1e30, 1e30)
    return own.arithmetic.integers(found - own.at(found.shape[1]).means)


def _symbols(array: np.ndarray, own: Profile) -> tuple[int, np.ndarray]:
    """A tensor without its profile, at a step of equal mean error: doublings of it, symbols of the rows."""
    values = rows.to_rows(array, own.spec)
    doublings = uniform.coarsening(np.abs(values).max(initial=0), own.plain_step)
    return doublings, uniform.quantise(values, own.plain_step * 2.0**doublings)


def put(encoder: Encoder, array: np.ndarray, own: Profile) -> None:
    doublings, symbols = _symbols(array, own)
    encoder.put_uniform(doublings, 256)
    adaptive.put(encoder, symbols)


def take(decoder: Decoder, own: Profile, shape: tuple[int, ...]) -> np.ndarray:
    doublings = decoder.take_one(256)
    return _values(doublings, adaptive.take(decoder, own.spec.channels, rows.positions(shape, own.spec)), own, shape)


def decoded(array: np.ndarray, own: Profile) -> np.ndarray:
    return _values(*_symbols(array, own), own, array.shape)


def _values(doublings: int, symbols: np.ndarray, own: Profile, shape: tuple[int, ...]) -> np.ndarray:
    values = uniform.dequantise(symbols, min(own.plain_step * 2.0**doublings, 2.0**126))
    return rows.from_rows(np.clip(values, -_LARGEST, _LARGEST), own.spec, shape)
