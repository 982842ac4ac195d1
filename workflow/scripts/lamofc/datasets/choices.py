"""Answer options in random order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def shuffled(options: Sequence[T], rng: np.random.Generator) -> tuple[list[T], int]:
    """Options of which the first is right -> options in random order, and where the right one is now."""
    order = rng.permutation(len(options))
    return [options[i] for i in order], int(np.argmin(order))
