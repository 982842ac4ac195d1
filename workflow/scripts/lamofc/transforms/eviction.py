"""Which tokens of a cache stay: scores from keys alone, since no other part of attention crosses a split."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def kept(keys: np.ndarray, fraction: float, policy: str, sinks: int, recent: int) -> np.ndarray:
    """(heads, tokens, head_dim) float32 -> positions (heads, count) that stay, rising.

    count = max(1, ceil(fraction * tokens)), the same of every head; each head chooses its own. The first `sinks` and
    the last `recent` tokens stay in any case, as far as they fit: recent ones first.
    """
    heads, tokens = keys.shape[:2]
    count = min(tokens, max(1, math.ceil(fraction * tokens - 1e-9)))
    scores = POLICIES[policy](keys)
    certain = np.zeros(tokens, np.int8)
    certain[:sinks] = 1
    certain[max(0, tokens - recent) :] = 2
    order = np.lexsort((-np.arange(tokens) + np.zeros((heads, 1), np.int64), scores, certain + np.zeros((heads, 1))))
    return np.sort(order[:, tokens - count :], axis=1)


def knorm(keys: np.ndarray) -> np.ndarray:
    """Small keys attract attention (Devoto et al. 2024): minus their norm, (heads, tokens) float64."""
    return -np.sqrt(np.square(keys, dtype=np.float64).sum(2))


def keydiff(keys: np.ndarray) -> np.ndarray:
    """Keys unlike the others matter (Park et al. 2025): minus the cosine to the mean of all directions."""
    norms = np.sqrt(np.square(keys, dtype=np.float64).sum(2, keepdims=True))
    directions = keys / np.maximum(norms, np.finfo(np.float64).tiny)
    mean = directions.mean(1, keepdims=True) if keys.shape[1] else directions
    length = np.sqrt(np.square(mean).sum(2, keepdims=True))
    return -(directions * mean / np.maximum(length, np.finfo(np.float64).tiny)).sum(2)


def window(keys: np.ndarray) -> np.ndarray:
    """The later, the better: with `sinks`, StreamingLLM's choice (Xiao et al. 2024)."""
    return np.broadcast_to(np.arange(keys.shape[1], dtype=np.float64), keys.shape[:2])


POLICIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"knorm": knorm, "keydiff": keydiff, "window": window}
