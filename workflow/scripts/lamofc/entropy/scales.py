"""Standard deviations as 6-bit levels in quarter octaves, relative to a reference such as the tensor's RMS."""

from __future__ import annotations

import numpy as np

from lamofc.entropy import bank, fitting, grouped
from lamofc.entropy.ans import Decoder, Encoder

LEVELS = 64
ORIGIN = 39  # level of the reference itself: 2^-9.75 .. 2^6 times it


def levels(sigma: np.ndarray, reference: float) -> np.ndarray:
    """-> uint8 levels 0 .. 63, shape of `sigma`; scales out of range take the nearest level."""
    ratio = np.maximum(np.asarray(sigma, np.float64), 1e-300) / max(reference, 1e-300)
    return np.clip(np.rint(bank.PER_OCTAVE * np.log2(ratio)) + ORIGIN, 0, LEVELS - 1).astype(np.uint8)


def tables(levels: np.ndarray, steps: float) -> np.ndarray:
    """Bank indices for a step of `steps` references. int32, shape of `levels`."""
    offset = int(np.rint(-bank.PER_OCTAVE * np.log2(steps))) + bank.ORIGIN - ORIGIN
    return np.clip(levels.astype(np.int32) + offset, 0, bank.MAX_INDEX)


def put(encoder: Encoder, indices: np.ndarray) -> None:
    """Levels or bank indices (n,), 0 .. 255: their median, a spread, then the differences, 3 bits each or so."""
    indices = np.asarray(indices, np.int32).ravel()
    middle = int(np.median(indices)) if indices.size else 0
    spread = int(fitting.best((indices - middle)[None])[0]) if indices.size else 0
    encoder.put_uniform(middle, 256)
    encoder.put_uniform(min(spread, bank.SIZE - 1), bank.SIZE)
    grouped.put(encoder, (indices - middle)[None], np.array([min(spread, bank.SIZE - 1)]))


def take(decoder: Decoder, count: int, limit: int = LEVELS) -> np.ndarray:
    """Inverse of `put` -> (count,) int32 clipped to 0 .. limit-1."""
    middle, spread = decoder.take_one(256), decoder.take_one(bank.SIZE)
    return np.clip(grouped.take(decoder, count, np.array([spread]))[0] + middle, 0, limit - 1)
