"""Product quantisation after a rotation, indices entropy-coded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc.codecs.vector_codec import VectorCodec
from lamofc.quantisers import product

BOOKS = {"1x256": (1, 256), "2x256": (2, 256), "4x256": (4, 256), "8x256": (8, 256), "8x32": (8, 32),
         "16x64": (16, 64), "16x8": (16, 8), "32x8": (32, 8)}  # fmt: skip
FINER = {label: "4x256" if size[0] > 8 else "2x256" for label, size in BOOKS.items()} | {"1x256": "1x256"}


@dataclass(frozen=True)
class Codec(VectorCodec):
    """Parametric OPQ (Ge et al. 2013): principal components dealt out to groups of balanced product of variances, a
    codebook per group, indices under static tables. Assignment weighs bits (entropy-constrained).

    books: the knob, <dimensions of a group>x<entries of a codebook>.
    pressure: 0 assigns to the nearest entry, 1 at the slope of the rate-distortion function.
    """

    sizes: ClassVar = BOOKS
    finer: ClassVar = FINER

    books: str = "8x256"

    def fit_tensor(self, name: str, columns: np.ndarray) -> dict[str, np.ndarray]:
        """Mean, basis and usual energy; per entry of BOOKS the grouping, codebooks and counts."""
        return product.fit(name, columns, BOOKS, self.pressure)
