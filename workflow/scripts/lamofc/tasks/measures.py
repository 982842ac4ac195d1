"""What a task reads of a tail's scores, in coordinates whose squared change is its damage: `measure` of tasks.

The outer product of gradients of these coordinates is the Fisher information of the answer, so that no labels and no
drawn answers are needed. Methods of tensors alone: tasks are loaded without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def likelihood(scores: Tensor) -> Tensor:
    """Logits or log-probabilities (..., alternatives) -> 2 sqrt(p) of each, the same shape.

    On this sphere (Rao 1945) half the squared distance is the Kullback-Leibler divergence to second order; here its
    mean over all distributions that are given.
    """
    return (scores.log_softmax(-1) / 2).exp() * (2 / scores.shape[:-1].numel() ** 0.5)


def values(scores: Tensor) -> Tensor:
    """Numbers as they are: the squared distance is their mean squared change."""
    return scores / scores.numel() ** 0.5
