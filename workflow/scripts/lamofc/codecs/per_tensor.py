"""Base of codecs that code each tensor of a sample by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lamofc.entropy import adaptive
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


class QueuedCoder(PerTensorCoder):
    """As its base, for tensors whose matrices go through `adaptive`: short ones of a packet share its calls."""

    def encode(self, sample: Sample) -> list[bytes]:
        queue = adaptive.Queue()
        payloads = [self.start(sample[s.name], s, queue) for s in self.specs]
        queue.run()
        return [payload() for payload in payloads]

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> bytes:
        queue = adaptive.Queue()
        payload = self.start(array, spec, queue)
        queue.run()
        return payload()

    @abstractmethod
    def start(self, array: np.ndarray, spec: TensorSpec, queue: adaptive.Queue) -> Callable[[], bytes]:
        """Array in native dtype and natural shape -> what gives its payload once the queue has run."""
