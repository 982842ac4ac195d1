"""Vector quantisation without a transform, assignment weighed by rate, indices under a learned prior."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.vector_indices import Coder
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import product
from lamofc.transforms import vectors

BOOKS = {"1x256": (1, 256), "2x1024": (2, 1024), "4x1024": (4, 1024), "8x1024": (8, 1024), "10x256": (10, 256),
         "16x256": (16, 256), "32x256": (32, 256), "64x8": (64, 8)}  # fmt: skip
FINER = {label: "4x1024" if size[0] > 8 else "2x1024" for label, size in BOOKS.items()} | {"1x256": "1x256"}
VECTORS = 4096  # calibration vectors of a tensor


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """FCVQ: a token's vector, mean removed, is cut into runs of neighbouring channels. All runs share one codebook
    (entropy-constrained, Chou 1989); how common its entries are is learned for each place in the token.

    books: the knob, <channels of a run>x<entries of the codebook>.
    pressure: 0 assigns to the nearest entry, 1 at the slope of the rate-distortion function.
    """

    knob: ClassVar[str] = "books"
    family: ClassVar[str] = "vector"
    kinds: ClassVar[frozenset[str]] = frozenset({"tokens", "embedding", "key", "value"})
    fitted: ClassVar[bool] = True

    books: str = "8x1024"
    pressure: float = 0.5

    def __post_init__(self) -> None:
        if self.books not in BOOKS:
            raise ValueError(f"books {self.books!r} is none of {', '.join(BOOKS)}")
        if not 0 <= self.pressure <= 4:
            raise ValueError(f"pressure {self.pressure} is not in 0 .. 4")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """Per tensor mean and usual energy; per entry of BOOKS the codebook, and counts at each place."""
        firsts = vectors.Firsts(specs)
        assets: dict[str, np.ndarray] = {}
        for name, columns in vectors.gather(specs, firsts.watched(samples), VECTORS).items():
            assets |= product.fit_shared(name, columns, BOOKS, self.pressure)
        return assets | firsts.means()

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(specs, lambda s, first: self._product(s, first, assets), assets)

    def _product(self, spec: TensorSpec, first: bool, assets: Assets) -> product.Product:
        label = FINER[self.books] if first else self.books
        return product.Product(assets, spec.name, label, BOOKS[label][0], self.pressure, True)
