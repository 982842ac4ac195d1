"""Matrix products that are equal on every machine: sums of integers, held in float64 and kept below 2^53.

Such a sum is exact whatever its order, so that neither the library nor the processor can change it. All else that
decoders do with floats is one rounded operation an entry, which IEEE 754 leaves no choice about.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from lamofc.errors import ConfigError

ROOM = 52  # sums stay below 2^52 and what rounding adds, so below 2^53


def bounded(values: np.ndarray, norm: float, most: float = math.inf) -> tuple[np.ndarray, int]:
    """Integers, and how many low bits they had to lose so that no sum of them under weights of that L1 norm is inexact.

    Both sides know the integers, so that both drop the same bits; with a usual step that is none. `most`: what their
    sizes cannot exceed, which may save a look at them.
    """
    if most * norm < 2.0**ROOM:
        return values, 0
    largest = max(values.max(initial=0), -values.min(initial=0))
    dropped = max(0, math.frexp(float(largest) * norm)[1] - ROOM)
    return (np.rint(np.ldexp(values, -dropped)), dropped) if dropped else (values, 0)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What all sums of the decoder go through. Integers in float64, any leading axes."""
    return np.matmul(a, b)


class Matrix:
    """A matrix rounded to integers of so many bits: its entries times 2^shift.

    integers: (outputs, inputs) float64. norm: the largest L1 norm of what one output is summed from.
    """

    def __init__(self, matrix: np.ndarray, bits: int, order: Literal["C", "F"] = "C") -> None:
        """matrix (outputs, inputs), finite; ConfigError if it is not. order F is for inputs that are often zero."""
        integers = np.array(matrix, np.float64, order=order)
        largest = np.abs(integers).max(initial=0.0)
        if not np.isfinite(largest):
            raise ConfigError("a matrix among the assets is not finite: fit the codec again")
        self.shift = bits - math.frexp(largest)[1]
        self.integers = np.rint(np.ldexp(integers, self.shift, out=integers), out=integers)
        self.norm = float(np.abs(integers).sum(1).max(initial=0))

    def __matmul__(self, values: np.ndarray) -> tuple[np.ndarray, int]:
        """Integers (inputs, n) float64 -> the product's integers (outputs, n), and the power of two of their unit."""
        return self.times(values)

    def times(
        self, values: np.ndarray, used: np.ndarray | None = None, most: float = math.inf
    ) -> tuple[np.ndarray, int]:
        """As `@`, of values that do not exceed `most`, for the inputs alone that `used` names: all others are zero."""
        values, dropped = bounded(values, self.norm, most)
        every = used is None or len(used) == self.integers.shape[1]
        return product(self.integers if every else self.integers.T.take(used, 0).T, values), dropped - self.shift
