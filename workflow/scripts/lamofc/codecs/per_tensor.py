"""Base of codecs that code each tensor of a sample by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from lamofc.interfaces import Sample, TensorSpec


class PerTensorCoder(ABC):
    """A coder with one section per tensor. Subclasses code one array at a time, in native dtype."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self.specs = list(specs)
        self.sections = [s.name for s in specs]

    def encode(self, sample: Sample) -> list[bytes]:
        return [self.encode_tensor(sample[s.name], s) for s in self.specs]

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        pairs = zip(self.specs, sections, strict=True)
        return {s.name: self.decode_tensor(data, s, shapes[s.name]) for s, data in pairs}

    @abstractmethod
    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        """Array in native dtype and natural shape -> its payload."""

    @abstractmethod
    def decode_tensor(self, data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        """Payload -> array in native dtype and natural shape; BitstreamError on bytes no encoder wrote."""
