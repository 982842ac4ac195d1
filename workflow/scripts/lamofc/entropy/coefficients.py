"""Transform coefficients under a calibrated table for each of them."""

from __future__ import annotations

import numpy as np

from lamofc.entropy import adaptive, grouped
from lamofc.entropy.ans import Decoder, Encoder


def put(encoder: Encoder, symbols: np.ndarray, known: np.ndarray) -> None:
    """symbols (dimension, count) int32; known: bank index of each of them, which the decoder has."""
    grouped.put(encoder, symbols.reshape(-1, 1), known.ravel())


def take(decoder: Decoder, known: np.ndarray) -> np.ndarray:
    """Inverse of `put` -> int32, shape of `known`."""
    return grouped.take(decoder, 1, known.ravel()).reshape(known.shape)
