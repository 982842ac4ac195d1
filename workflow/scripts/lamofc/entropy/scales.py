"""Standard deviations as levels in octaves: relative to a reference such as the tensor's RMS, or sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamofc.entropy import bank, fitting, grouped
from lamofc.entropy.ans import Decoder, Encoder

LEVELS = 256
PER_OCTAVE = 16
ORIGIN = 156  # level of the reference itself: 2^-9.75 .. 2^6.2 times it
_SIZES = 1 << 12
_SMALLEST = 2.0**-120


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
    """Bank indices (n,), 0 .. 255, at 3 to 5 bits each."""
    put_around(encoder, indices, 256)


def take(decoder: Decoder, count: int) -> np.ndarray:
    """Inverse of `put` -> (count,) int32, 0 .. bank.MAX_INDEX."""
    return np.minimum(take_around(decoder, count, 256), bank.MAX_INDEX)


def put_around(encoder: Encoder, values: np.ndarray, size: int) -> None:
    """Integers (n,), 0 .. size-1, close to each other: a middle one, a spread, then the differences."""
    put_around_all([encoder], np.asarray(values).reshape(1, -1), size)


def put_around_all(encoders: Sequence[Encoder], values: np.ndarray, size: int) -> None:
    """`put_around` of each row of values (encoders, n) in the same calls."""
    values = values.astype(np.int32, copy=False)
    middles = np.sort(values, 1)[:, values.shape[1] // 2] if values.size else np.zeros(len(values), np.int32)
    differences = values - middles[:, None]
    varied = differences.any(1)
    for encoder, middle, varies in zip(encoders, middles.tolist(), varied.tolist(), strict=True):
        encoder.put_uniform(middle, size)
        if not varies:
            encoder.put_uniform(bank.SIZE, bank.SIZE + 1)
    chosen = varied.nonzero()[0]
    if chosen.size:
        rows = differences[chosen]
        spreads = np.minimum(fitting.best_alone(rows), bank.SIZE - 1)
        encoders = [encoders[i] for i in chosen.tolist()]
        for encoder, spread in zip(encoders, spreads.tolist(), strict=True):
            encoder.put_uniform(spread, bank.SIZE + 1)
        grouped.put_single(encoders, rows, spreads)


def take_around(decoder: Decoder, count: int, size: int) -> np.ndarray:
    """Inverse of `put_around` -> (count,) int32, 0 .. size-1."""
    middle, spread = decoder.take_one(size), decoder.take_one(bank.SIZE + 1)
    if spread == bank.SIZE:
        return np.full(count, middle, np.int32)
    return np.clip(grouped.take(decoder, count, np.array([spread]))[0] + np.int32(middle), 0, size - 1)


def put_sizes(encoder: Encoder, sizes: np.ndarray) -> np.ndarray:
    """Sizes (n,) of tokens, 2^-120 or more, in sixteenths of an octave -> float32 as the decoder has them."""
    exact = np.log2(np.maximum(np.asarray(sizes, np.float64), _SMALLEST))
    rounded = np.rint(PER_OCTAVE * exact).astype(np.int32) + _SIZES // 2
    rounded = np.minimum(rounded, _SIZES - 1)  # the largest floats are beyond by a fraction of a level
    put_around(encoder, rounded, _SIZES)
    return _size(rounded)


def take_sizes(decoder: Decoder, count: int) -> np.ndarray:
    """Inverse of `put_sizes`."""
    return _size(take_around(decoder, count, _SIZES))


def _size(levels: np.ndarray) -> np.ndarray:
    octaves, parts = np.divmod(levels - _SIZES // 2, PER_OCTAVE)
    fractions = np.exp2(np.arange(PER_OCTAVE) / PER_OCTAVE).astype(np.float32)
    return np.ldexp(fractions[parts], np.clip(octaves, -120, 127)).astype(np.float32)
