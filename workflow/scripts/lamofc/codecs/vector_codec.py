"""Base of the codecs whose symbols are indices into calibrated codebooks of vectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.vector_indices import Coder
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.quantisers import product
from lamofc.transforms import vectors

VECTORS = 4096  # calibration vectors of a tensor


@dataclass(frozen=True)
class VectorCodec(interfaces.Codec):
    """sizes: label of a point -> dimensions of a group, entries of its codebook.
    finer: label -> that of first tokens which stand for a whole image: they are few and much hangs on them.
    orthonormal: whether components are a rotation, so that their errors are those of the vector.
    """

    knob: ClassVar[str] = "books"
    family: ClassVar[str] = "vector"
    kinds: ClassVar[frozenset[str]] = frozenset({"tokens", "embedding", "key", "value"})
    fitted: ClassVar[bool] = True
    sizes: ClassVar[Mapping[str, tuple[int, int]]]
    finer: ClassVar[Mapping[str, str]]
    orthonormal: ClassVar[bool] = True

    books: str
    pressure: float = 0.5

    def __post_init__(self) -> None:
        if self.books not in self.sizes:
            raise ValueError(f"books {self.books!r} is none of {', '.join(self.sizes)}")
        if not 0 <= self.pressure <= 4:
            raise ValueError(f"pressure {self.pressure} is not in 0 .. 4")

    @abstractmethod
    def fit_tensor(self, name: str, columns: np.ndarray) -> dict[str, np.ndarray]:
        """Assets of one tensor at every point, from its calibration vectors (dimension, n) float32."""

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        """Those of every tensor, and means of first tokens."""
        firsts = vectors.Firsts(specs)
        assets: dict[str, np.ndarray] = {}
        for name, columns in vectors.gather(specs, firsts.watched(samples), VECTORS).items():
            assets |= self.fit_tensor(name, columns)
        return assets | firsts.means()

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(specs, lambda spec, first: self._product(spec, first, assets), assets)

    def _product(self, spec: TensorSpec, first: bool, assets: Assets) -> product.Product:
        label = self.finer[self.books] if first else self.books
        return product.Product(assets, spec.name, label, self.sizes[label][0], self.pressure, self.orthonormal)
