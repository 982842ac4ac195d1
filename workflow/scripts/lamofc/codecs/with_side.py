"""Base of codecs whose tensors have a payload and side information of their own, so that `inspect` tells them apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from lamofc.interfaces import Sample, TensorSpec


class WithSideCoder(ABC):
    """A coder with two sections per tensor, `<tensor>` and `<tensor>/<side>`."""

    side = "scales"

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self.specs = list(specs)
        self.sections = [name for s in specs for name in (s.name, f"{s.name}/{self.side}")]

    def encode(self, sample: Sample) -> list[bytes]:
        return [data for s in self.specs for data in self.encode_tensor(sample[s.name], s)]

    def decode(self, sections: Sequence[bytes], shapes: Mapping[str, tuple[int, ...]]) -> Sample:
        triples = zip(self.specs, sections[::2], sections[1::2], strict=True)
        return {s.name: self.decode_tensor(payload, side, s, shapes[s.name]) for s, payload, side in triples}

    @abstractmethod
    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> tuple[bytes, bytes]:
        """Array in native dtype and natural shape -> payload, side information."""

    @abstractmethod
    def decode_tensor(self, payload: bytes, side: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        """Inverse; BitstreamError on bytes no encoder wrote."""
