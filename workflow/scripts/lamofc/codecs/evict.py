"""Caches without some of their tokens, the others entropy-coded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc.codecs import uq_ec
from lamofc.dtypes import to_float32
from lamofc.errors import ConfigError, FeatureError
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.transforms import eviction


@dataclass(frozen=True)
class Codec(uq_ec.Codec):
    """Eviction from KV caches: what is left has fewer tokens, which no later query sees; `uq-ec` codes it.

    Each head of a layer keeps as many tokens as the others, but its own. Keys are rotated by their positions already,
    so nothing tells where a token was. What has fewer tokens is handed out so: the tail attends to those alone.
    keep: the fraction of tokens that stay; with 1 the payloads are those of `uq-ec`. The knob is still `step`.
    policy: "knorm", "keydiff" or "window" (transforms/eviction.py). SnapKV and others that read queries cannot run
        here: queries do not cross the split.
    sinks, recent: first and last tokens that stay in any case.
    """

    family: ClassVar[str] = "kv"
    kinds: ClassVar[frozenset[str]] = frozenset({"key", "value"})
    evicts: ClassVar[bool] = True

    keep: float = 0.5
    policy: str = "knorm"
    sinks: int = 4
    recent: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep {self.keep} is outside 0 .. 1")
        if self.policy not in eviction.POLICIES:
            raise ValueError(f"policy {self.policy!r} is none of {', '.join(eviction.POLICIES)}")
        if min(self.sinks, self.recent) < 0:
            raise ValueError(f"sinks {self.sinks} and recent {self.recent} must not be negative")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs, assets)


class Coder(uq_ec.Coder):
    def __init__(self, codec: Codec, specs: Sequence[TensorSpec], assets: Assets) -> None:
        super().__init__(codec, specs, assets)
        self._layers: dict[object, dict[str, TensorSpec]] = {}
        for spec in self.specs:
            if spec.kind in self._layers.setdefault(spec.layer, {}):
                raise ConfigError(f"tensor {spec.name}: layer {spec.layer} has two tensors of kind {spec.kind}")
            self._layers[spec.layer][spec.kind] = spec

    def kept(self, sample: Sample) -> Sample:
        """The tokens that stay, chosen by each layer's keys; by position where a layer has values alone."""
        codec, out = self.codec, {}
        for pair in self._layers.values():
            arrays = {spec.name: sample[spec.name] for spec in pair.values()}
            if len(shapes := {a.shape[:2] for a in arrays.values()}) > 1:
                raise FeatureError(f"{' and '.join(arrays)}: heads and tokens differ, {shapes}: no cache has that")
            judged = pair.get("key", pair.get("value"))
            policy = codec.policy if "key" in pair else "window"
            where = eviction.kept(
                to_float32(sample[judged.name]), codec.keep, policy, codec.sinks, codec.recent
            )  # (heads, count)
            out |= {name: np.take_along_axis(a, where[..., None], 1) for name, a in arrays.items()}
        return out
