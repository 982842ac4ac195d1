"""Product quantisation after a rotation, indices entropy-coded."""

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

BOOKS = {"1x256": (1, 256), "2x256": (2, 256), "4x256": (4, 256), "8x256": (8, 256), "8x32": (8, 32),
         "16x64": (16, 64), "16x8": (16, 8), "32x8": (32, 8)}  # fmt: skip
FINER = {label: "4x256" if size[0] > 8 else "2x256" for label, size in BOOKS.items()} | {"1x256": "1x256"}
VECTORS = 4096  # calibration vectors of a tensor


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """Parametric OPQ (Ge et al. 2013): principal components dealt out to groups of balanced product of variances, a
    codebook per group, indices under static tables. Assignment weighs bits (entropy-constrained).

    books: the knob, <dimensions of a group>x<entries of a codebook>.
    pressure: 0 assigns to the nearest entry, 1 at the slope of the rate-distortion function.
    """

    knob: ClassVar[str] = "books"
    family: ClassVar[str] = "vector"
    kinds: ClassVar[frozenset[str]] = frozenset({"tokens", "embedding", "key", "value"})
    fitted: ClassVar[bool] = True

    books: str = "8x256"
    pressure: float = 0.5

    def __post_init__(self) -> None:
        if self.books not in BOOKS:
            raise ValueError(f"books {self.books!r} is none of {', '.join(BOOKS)}")
        if not 0 <= self.pressure <= 4:
            raise ValueError(f"pressure {self.pressure} is not in 0 .. 4")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """Per tensor mean, basis and usual energy; per entry of BOOKS the grouping, codebooks and counts."""
        firsts = vectors.Firsts(specs)
        assets: dict[str, np.ndarray] = {}
        for name, columns in vectors.gather(specs, firsts.watched(samples), VECTORS).items():
            assets |= product.fit(name, columns, BOOKS, self.pressure)
        return assets | firsts.means()

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(specs, lambda s, first: self._product(s, first, assets, True), assets)

    def _product(self, spec: TensorSpec, first: bool, assets: Assets, orthonormal: bool) -> product.Product:
        """First tokens that stand for the whole image take finer books: they are few and much hangs on them."""
        label = FINER[self.books] if first else self.books
        return product.Product(assets, spec.name, label, BOOKS[label][0], self.pressure, orthonormal)
