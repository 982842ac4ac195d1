"""Rotary position embedding (Su et al. 2021) taken out of keys and put back, as Hugging Face models apply it."""

from __future__ import annotations

import numpy as np

from lamofc.interfaces import TensorSpec


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
    angles = _angles(keys.shape[2], half, theta)
    cosine, sine = np.cos(angles).astype(np.float32), np.float32(sign) * np.sin(angles).astype(np.float32)
    first, second = keys[:, :half], keys[:, half:]
    with np.errstate(over="ignore", invalid="ignore"):  # values near the largest: codecs look for infinities later
        return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=1)


def _angles(tokens: int, half: int, theta: float) -> np.ndarray:
    """(half, tokens) float64, from frequencies in float32 as models hold them."""
    frequencies = (1.0 / theta ** (np.arange(half, dtype=np.float64) / half)).astype(np.float32)
    return frequencies[:, None].astype(np.float64) * np.arange(tokens)
