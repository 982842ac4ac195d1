"""Base of codecs that code each tensor of a sample by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lamofc.entropy import adaptive
from lamofc.interfaces import Sample, TensorSpec
from lamofc.transforms import rows

Payload = Callable[[], bytes]  # gives a section once the queue has run
_TOGETHER = 1 << 17  # values of tensors that are transformed together


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
    def start(self, array: np.ndarray, spec: TensorSpec, queue: adaptive.Queue) -> Payload:
        """Array in native dtype and natural shape -> its payload, once the queue has run."""


class StackedCoder(QueuedCoder):
    """As its base, for tensors that are matrices of `rows`: short ones of one kind and shape share all calls."""

    def encode(self, sample: Sample) -> list[bytes]:
        queue, payloads = adaptive.Queue(), {}
        for specs in self._alike(sample):
            stack = rows.to_stack([sample[s.name] for s in specs], specs[0])
            started = self.start_stack(stack, sample[specs[0].name].shape, specs, queue)
            payloads.update(zip([s.name for s in specs], started, strict=True))
        queue.run()
        return [payloads[s.name]() for s in self.specs]

    def start(self, array: np.ndarray, spec: TensorSpec, queue: adaptive.Queue) -> Payload:
        return self.start_stack(rows.to_stack([array], spec), array.shape, [spec], queue)[0]

    def _alike(self, sample: Sample) -> list[list[TensorSpec]]:
        found: dict[tuple, list[list[TensorSpec]]] = {}
        for spec in self.specs:
            array, places = sample[spec.name], (str(spec.attributes.get("grid")), spec.attributes.get("prefix"))
            groups = found.setdefault((spec.kind, array.dtype, array.shape, *places), [[]])
            if groups[-1] and (len(groups[-1]) + 1) * array.size > _TOGETHER:
                groups.append([])
            groups[-1].append(spec)
        return [group for groups in found.values() for group in groups]

    @abstractmethod
    def start_stack(
        self, stack: np.ndarray, shape: tuple[int, ...], specs: Sequence[TensorSpec], queue: adaptive.Queue
    ) -> list[Payload]:
        """(tensors, channels, positions) float32 of tensors of one natural shape -> a payload of each."""
