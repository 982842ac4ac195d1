"""The arithmetic of `tailor`'s decoder: sums of integers, so that every machine decodes the same bytes.

What is restored of a tensor, its vectors less their means, are integers in a unit of its own: the power of two next
below 1/256 of the step. The next tensor is predicted from these integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lamofc.transforms import integer_dct
from lamofc.transforms.exact import Matrix
from lamofc.transforms.positions import Layout

_SYNTHESIS_BITS = 17  # of the largest entry: float16 numbers down to 1/64 of it keep all their digits
_PREDICTION_BITS = 16
_FINENESS = 256.0
_SMALLEST = -149  # float32 has nothing finer
_LARGEST = float(np.finfo(np.float32).max)


class Integers:
    """Synthesis and prediction of one tensor at one step.

    exact: the synthesis matrix as decoders have it, float64. plain_step: step of equal mean error without transform.
    unit: what restored integers count, a power of two.
    """

    def __init__(self, synthesis: np.ndarray, scale: float, predict: np.ndarray, step: float) -> None:
        """synthesis (dimension, dimension), to be multiplied by `scale`, and predict (dimension, inputs), float16."""
        self.synthesis, self._predict = Matrix(synthesis, _SYNTHESIS_BITS, "F"), predict
        integers, factor = self.synthesis.integers, math.ldexp(float(scale), -self.synthesis.shift)
        self.exact = integers * factor
        power = float(np.square(integers.astype(np.int64)).sum()) / max(len(integers), 1)
        self.plain_step = step * factor * math.sqrt(power) or step
        self.exponent = max(math.frexp(self.plain_step / _FINENESS)[1] - 1, _SMALLEST)
        self.unit = math.ldexp(1.0, self.exponent)
        self._scale = float(scale) * float(np.float32(step))
        self.prediction: Matrix | None = None

    def predict_from(self, sources: Sequence[tuple[int, Integers]]) -> None:
        """Make ready for prediction from tensors of these dimensions: their units become part of the matrix."""
        shifts = np.repeat([s.exponent - self.exponent for _, s in sources], [n for n, _ in sources])
        self.prediction = Matrix(np.ldexp(self._predict.astype(np.float64), shifts), _PREDICTION_BITS)

    def foretold(self, sources: Sequence[np.ndarray]) -> np.ndarray:
        """What is restored of the sources -> what is foretold of this tensor, integers."""
        found, exponent = self.prediction @ np.concatenate(sources)
        found *= math.ldexp(1.0, exponent)
        return np.rint(found, out=found)

    def restore(
        self, symbols: np.ndarray, used: np.ndarray, layout: Layout, gains: np.ndarray, foretold: np.ndarray | None
    ) -> np.ndarray:
        """Symbols int32 of the rows `used` -> integers (dimension, count) float64."""
        values, most = integer_dct.inverse(symbols, layout, gains)
        found, exponent = self.synthesis.times(values, used, most)
        found *= math.ldexp(self._scale, exponent - integer_dct.FRACTION - self.exponent)
        np.rint(found, out=found)
        return found if foretold is None else np.add(found, foretold, out=found)

    def integers(self, centred: np.ndarray) -> np.ndarray:
        """Vectors less their means, coded without profile -> the nearest integers."""
        return np.rint(centred.astype(np.float64) / self.unit)

    def vectors(self, restored: np.ndarray) -> np.ndarray:
        """Integers -> vectors less their means, float32."""
        out = restored * self.unit
        np.minimum(out, _LARGEST, out=out)  # clip takes longer than both on small tensors
        return np.maximum(out, -_LARGEST, out=out).astype(np.float32)

    @staticmethod
    def gains(weights: np.ndarray) -> np.ndarray:
        """Weights of columns -> what `restore` takes for them."""
        return integer_dct.gains(weights)
