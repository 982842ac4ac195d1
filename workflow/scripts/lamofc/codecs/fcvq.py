"""Vector quantisation without a transform, assignment weighed by rate, indices under a learned prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc.codecs.vector_codec import VectorCodec
from lamofc.quantisers import product

BOOKS = {"1x256": (1, 256), "2x1024": (2, 1024), "4x1024": (4, 1024), "8x1024": (8, 1024), "10x256": (10, 256),
         "16x256": (16, 256), "32x256": (32, 256), "64x8": (64, 8)}  # fmt: skip
FINER = {label: "4x1024" if size[0] > 8 else "2x1024" for label, size in BOOKS.items()} | {"1x256": "1x256"}


@dataclass(frozen=True)
class Codec(VectorCodec):
    """FCVQ: a token's vector, mean removed, is cut into runs of neighbouring channels. All runs share one codebook
    (entropy-constrained, Chou 1989); how common its entries are is learned for each place in the token.

    books: the knob, <channels of a run>x<entries of the codebook>.
    pressure: 0 assigns to the nearest entry, 1 at the slope of the rate-distortion function.
    """

    sizes: ClassVar = BOOKS
    finer: ClassVar = FINER

    books: str = "8x1024"

    def fit_tensor(self, name: str, columns: np.ndarray) -> dict[str, np.ndarray]:
        """Mean and usual energy; per entry of BOOKS the codebook, and counts at each place."""
        return product.fit_shared(name, columns, BOOKS, self.pressure)
