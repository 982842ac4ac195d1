"""Divergence between a tail's distribution and the uncompressed run's."""

from __future__ import annotations

import numpy as np


def divergence(logits: np.ndarray, reference: np.ndarray) -> float:
    """KL(reference || output) in nats of the softmax distributions over the last axis."""
    p, q = _log_softmax(reference), _log_softmax(logits)
    return float(max(0.0, (np.exp(p) * (p - q)).sum()))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.asarray(logits, np.float64) - np.max(logits)
    return shifted - np.log(np.exp(shifted).sum())
