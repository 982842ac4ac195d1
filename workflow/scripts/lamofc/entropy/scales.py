"""Standard deviations as levels in octaves: relative to a reference such as the tensor's RMS, or sent."""

from __future__ import annotations

import numpy as np

from lamofc.entropy import bank, fitting, grouped
from lamofc.entropy.ans import Decoder, Encoder

LEVELS = 256
PER_OCTAVE = 16
_SIZES = 1 << 12
_SMALLEST = 2.0**-120
ORIGIN = 156  # level of the reference itself: 2^-9.75 .. 2^6.2 times it


def levels(sigma: np.ndarray, reference: float) -> np.ndarray:
    """-> uint8 levels, sixteenths of an octave, shape of `sigma`; scales out of range take the nearest level.

    Finer than the bank, since the step that turns levels into indices rounds once more.
    """
    ratio = np.maximum(np.asarray(sigma, np.float64), 1e-300) / max(reference, 1e-300)
    return np.clip(np.rint(PER_OCTAVE * np.log2(ratio)) + ORIGIN, 0, LEVELS - 1).astype(np.uint8)


def tables(levels: np.ndarray, steps: float) -> np.ndarray:
    """Levels -> bank indices for a step of `steps` references. int32, shape of `levels`."""
    shift = int(np.rint(PER_OCTAVE * np.log2(steps)))
    fine = levels.astype(np.int32) - ORIGIN - shift
    per_index = PER_OCTAVE // bank.PER_OCTAVE
    return np.clip((fine + per_index // 2) // per_index + bank.ORIGIN, 0, bank.MAX_INDEX)


def put(encoder: Encoder, indices: np.ndarray) -> None:
    """Bank indices (n,), 0 .. 255: their median, a spread, then the differences, 3 to 5 bits each."""
    indices = np.asarray(indices, np.int32).ravel()
    middle = int(np.median(indices)) if indices.size else 0
    differences = (indices - middle)[None]
    spread = np.minimum(fitting.best(differences), bank.SIZE - 1)
    encoder.put_uniform(middle, 256)
    encoder.put_uniform(spread, bank.SIZE)
    grouped.put(encoder, differences, spread)


def take(decoder: Decoder, count: int) -> np.ndarray:
    """Inverse of `put` -> (count,) int32, 0 .. bank.MAX_INDEX."""
    middle, spread = decoder.take_one(256), decoder.take_one(bank.SIZE)
    return np.clip(grouped.take(decoder, count, np.array([spread]))[0] + middle, 0, bank.MAX_INDEX)


def put_sizes(encoder: Encoder, sizes: np.ndarray) -> np.ndarray:
    """Sizes (n,) of tokens, 2^-120 or more, in sixteenths of an octave -> float32 as the decoder has them."""
    exact = np.log2(np.maximum(np.asarray(sizes, np.float64), _SMALLEST))
    rounded = np.rint(PER_OCTAVE * exact).astype(np.int32) + _SIZES // 2
    middle = int(np.median(rounded)) if rounded.size else 0
    differences = (rounded - middle)[None]
    spread = np.minimum(fitting.best(differences), bank.SIZE - 1)
    encoder.put_uniform(middle, _SIZES)
    encoder.put_uniform(spread, bank.SIZE)
    grouped.put(encoder, differences, spread)
    return _size(rounded)


def take_sizes(decoder: Decoder, count: int) -> np.ndarray:
    """Inverse of `put_sizes`."""
    middle, spread = decoder.take_one(_SIZES), decoder.take_one(bank.SIZE)
    return _size(np.clip(grouped.take(decoder, count, np.array([spread]))[0] + middle, 0, _SIZES - 1))


def _size(levels: np.ndarray) -> np.ndarray:
    octaves, parts = np.divmod(levels - _SIZES // 2, PER_OCTAVE)
    fractions = np.exp2(np.arange(PER_OCTAVE) / PER_OCTAVE).astype(np.float32)
    return np.ldexp(fractions[parts], np.clip(octaves, -120, 127)).astype(np.float32)
