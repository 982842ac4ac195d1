"""Rotary position embedding (Su et al. 2021) taken out of keys and put back, as Hugging Face models apply it."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np

from lamofc.interfaces import TensorSpec
from lamofc.transforms import circular


def applies(spec: TensorSpec) -> bool:
    """Whether the keys of a tensor are rotated by position in a way that is known."""
    return spec.kind == "key" and "rope_theta" in spec.attributes and spec.shape[2] % 2 == 0


def undo(keys: np.ndarray, theta: float) -> np.ndarray:
    """(heads, head_dim, tokens) float32 of positions 0, 1, ... -> keys as they were before their rotation."""
    return _rotate(keys, theta, -1.0)


def apply(keys: np.ndarray, theta: float) -> np.ndarray:
    """Inverse of `undo`."""
    return _rotate(keys, theta, 1.0)


def _rotate(keys: np.ndarray, theta: float, sign: float) -> np.ndarray:
    half = keys.shape[1] // 2
    cosine, sine = _turns(keys.shape[2], half, float(theta))
    sine = np.float32(sign) * sine
    first, second = keys[:, :half], keys[:, half:]
    with np.errstate(over="ignore", invalid="ignore"):  # values near the largest: codecs look for infinities later
        return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=1)


@lru_cache(maxsize=2)  # the layers of a sample turn alike
def _turns(tokens: int, half: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine (half, tokens) float32, of angles in float64."""
    cosine, sine = circular.cosine_sine(frequencies(half, theta)[:, None].astype(np.float64) * np.arange(tokens))
    return cosine.astype(np.float32), sine.astype(np.float32)


@lru_cache(maxsize=16)
def frequencies(half: int, theta: float) -> np.ndarray:
    """theta^(-i / half), (half,) float32 as models hold them, by decimal arithmetic: equal on every machine."""
    with localcontext() as context:
        context.prec = 40
        return np.array([float(1 / Decimal(theta) ** (Decimal(i) / half)) for i in range(half)]).astype(np.float32)
