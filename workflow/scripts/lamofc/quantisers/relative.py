"""Quantiser steps in units of a tensor's typical RMS, which is sent, doubled where an outlier would leave the range."""

from __future__ import annotations

import numpy as np

from lamofc.entropy.ans import Decoder, Encoder
from lamofc.quantisers import reference, uniform

SMALLEST, LARGEST = 1e-6, 1e3


def check(step: float) -> None:
    """ValueError unless the relative step is one that codecs take."""
    if not SMALLEST <= step <= LARGEST:
        raise ValueError(f"step {step} is outside {SMALLEST:g} .. {LARGEST:g}")


def put_step(encoder: Encoder, sizes: np.ndarray, largest: float, relative: float) -> float:
    """Send the typical of the RMS (n,) of columns and the doublings that keep `largest` in range; returns the step."""
    step = reference.put_typical(encoder, sizes) * relative
    doublings = uniform.coarsening(largest, step)
    encoder.put_uniform(doublings, 256)
    return step * 2.0**doublings


def take_step(decoder: Decoder, relative: float) -> float:
    """Inverse of `put_step`; BitstreamError unless positive and finite."""
    step = reference.take_rms(decoder) * relative
    return step * 2.0 ** decoder.take_one(256)


def dequantise(symbols: np.ndarray, step: float) -> np.ndarray:
    """Integers -> float32 multiples of `step`, within float32's range."""
    limit = float(np.finfo(np.float32).max)
    return np.clip(symbols * float(step), -limit, limit).astype(np.float32)
