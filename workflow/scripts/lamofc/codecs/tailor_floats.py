"""The arithmetic of `tailor` streams that do not name theirs: float64 sums, rounded to 1/256 step after each tensor.

Libraries add in different orders; that the rounding hides it is very likely, not certain. `tailor_integers` has no
such doubt and the same interface; here what is restored are the vectors less their means, float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamofc.transforms.positions import Layout
from lamofc.transforms.snap import snap


class Floats:
    def __init__(self, synthesis: np.ndarray, scale: float, predict: np.ndarray, step: float) -> None:
        self.exact, self._predict = synthesis.astype(np.float64) * float(scale), predict.astype(np.float64)
        self.plain_step = step * float(np.sqrt(np.square(self.exact).sum() / max(len(synthesis), 1))) or step
        self._step = np.float32(step)

    def predict_from(self, sources: Sequence[tuple[int, Floats]]) -> None:
        pass

    def foretold(self, sources: Sequence[np.ndarray]) -> np.ndarray:
        return self._predict @ np.concatenate(sources)

    def restore(
        self, symbols: np.ndarray, used: np.ndarray, layout: Layout, gains: np.ndarray, foretold: np.ndarray | None
    ) -> np.ndarray:
        values = layout.transform(symbols * np.float64(self._step), inverse=True) / gains
        residual = self.exact[:, used] @ values
        return snap(residual if foretold is None else residual + foretold, self.plain_step)

    def integers(self, centred: np.ndarray) -> np.ndarray:
        return centred

    def vectors(self, restored: np.ndarray) -> np.ndarray:
        return restored

    @staticmethod
    def gains(weights: np.ndarray) -> np.ndarray:
        return weights
