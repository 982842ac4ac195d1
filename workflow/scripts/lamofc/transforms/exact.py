"""Matrix products that are equal on every machine: sums of integers, held in float64 and kept below 2^53.

Such a sum is exact whatever its order, so that neither the library nor the processor can change it. All else that
decoders do with floats is one rounded operation an entry, which IEEE 754 leaves no choice about.
"""

from __future__ import annotations

import numpy as np

from lamofc.errors import ConfigError

ROOM = 52  # sums stay below 2^52 and what rounding adds, so below 2^53


def bounded(values: np.ndarray, norm: float, most: float = np.inf) -> tuple[np.ndarray, int]:
    """Integers, and how many low bits they had to lose so that no sum of them under weights of that L1 norm is inexact.

    Both sides know the integers, so that both drop the same bits; with a usual step that is none. `most`: what their
    sizes cannot exceed, which may save a look at them.
    """
    if most * norm < 2.0**ROOM:
        return values, 0
    largest = max(values.max(initial=0), -values.min(initial=0))
    dropped = max(0, int(np.frexp(largest * norm)[1]) - ROOM)
    return (np.rint(np.ldexp(values, -dropped)), dropped) if dropped else (values, 0)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What all sums of the decoder go through. Integers in float64, any leading axes."""
    return np.matmul(a, b)


class Matrix:
    """A matrix rounded to integers of so many bits: its entries times 2^shift.

    columns: (inputs, outputs) float64, the transpose, whose rows are taken where only some inputs are not zero.
    norm: the largest L1 norm of what one output is summed from.
    """

    def __init__(self, matrix: np.ndarray, bits: int) -> None:
        """matrix (outputs, inputs), finite; ConfigError if it is not."""
        columns = np.ascontiguousarray(matrix.T, np.float64)
        largest = np.abs(columns).max(initial=0.0)
        if not np.isfinite(largest):
            raise ConfigError("a matrix among the assets is not finite: fit the codec again")
        self.shift = bits - int(np.frexp(largest)[1])
        self.columns = np.rint(np.ldexp(columns, self.shift, out=columns), out=columns)
        self.norm = float(np.abs(columns).sum(0).max(initial=0))

    def __matmul__(self, values: np.ndarray) -> tuple[np.ndarray, int]:
        """Integers (inputs, n) float64 -> the product's integers (outputs, n), and the power of two of their unit."""
        return self.times(values, None)

    def times(self, values: np.ndarray, used: np.ndarray | None) -> tuple[np.ndarray, int]:
        """As `@` where `values` are those inputs alone that `used` names and all others are zero."""
        few = used is not None and len(used) < len(self.columns)
        values, dropped = bounded(values, self.norm)
        return product((self.columns[used] if few else self.columns).T, values), dropped - self.shift
