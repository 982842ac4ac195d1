"""Divergence between a tail's distribution and the uncompressed run's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def divergence(logits: np.ndarray, reference: np.ndarray) -> float:
    """KL(reference || output) in nats of the softmax distributions over the last axis.

    A tail that returns numbers that are not finite says nothing: that counts as the uniform distribution.
    """
    p, q = _log_softmax(reference), _log_softmax(logits)
    return float(max(0.0, (np.exp(p) * (p - q)).sum()))


def stepwise_divergence(output: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> float:
    """KL(reference || output) in nats per step, over the steps before which both wrote the same tokens.

    Both hold `tokens` (steps,) and, for each step, their likeliest tokens `candidates` with `logprobs` (steps, kept).
    Distributions are those over the reference's candidates and one bin of all other tokens; a candidate that the
    output does not hold counts as its last one.
    """
    same = 0
    for a, b in zip(output["tokens"], reference["tokens"], strict=False):
        same += 1
        if a != b:
            break
    steps = [_kept_divergence(output, reference, i) for i in range(same)]
    return float(np.mean(steps)) if steps else 0.0


def _kept_divergence(output: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], step: int) -> float:
    held = dict(zip(output["candidates"][step].tolist(), output["logprobs"][step].tolist(), strict=True))
    least = min(held.values())
    p = _with_rest(np.asarray(reference["logprobs"][step], np.float64))
    q = _with_rest(np.array([held.get(c, least) for c in reference["candidates"][step].tolist()]))
    return float(max(0.0, (np.exp(p) * (p - q)).sum()))


def _with_rest(logprobs: np.ndarray) -> np.ndarray:
    """Log-probabilities of the kept tokens and of the rest, which together sum to one."""
    rest = max(1e-9, 1 - np.exp(logprobs).sum())
    return _log_softmax(np.append(logprobs, np.log(rest)))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    if not np.isfinite(logits).all():
        logits = np.zeros_like(logits)
    shifted = logits - np.max(logits)
    return shifted - np.log(np.exp(shifted).sum())
