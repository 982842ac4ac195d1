"""Coding cut to the tail: errors go where the rest of the model does not look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from lamofc import interfaces
from lamofc.codecs import uq_ec
from lamofc.codecs.tailor_floats import Floats
from lamofc.codecs.tailor_integers import Integers
from lamofc.codecs.tailor_stream import Coder
from lamofc.interfaces import Assets, Sample, TensorSpec
from lamofc.transforms import klt, prediction, profile

_METRICS = ("fisher", "task", "none", "identity")
_LOUDEST, _QUIETEST = 64.0, 0.25  # bounds of the weights of edge positions


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """The project's codec: docs/codec.md tells the design and what each part buys.

    Prediction from tensors already decoded, a Karhunen-Loeve transform in the metric of the tail's sensitivity, a DCT
    along the grid or along time, one step for everything, static tables under ANS.
    step: the knob, in units of the calibrated root mean square of all tensors in that metric.
    metric: "fisher" weighs errors by their effect on the tail's last feature, if sensitivities are given to
        `fit_with`; "task" by that on the answer of the curve's own task, which other tasks may not like; "none" by the
        reciprocal mean square of each tensor. "identity" is for features that nothing was calibrated on: no assets, no
        transform, packets of `uq-ec` with scales in the stream; step is in units of each tensor's root mean square.
    contexts: tables follow what is decoded already; False is the fast mode.
    integers: decode by integer sums, which are equal on every machine; False is the float64 arithmetic of streams
        whose header does not name any.
    predict, blocks, edges: switch off prediction, the DCT, and means and weights of the first and last positions.
    """

    knob: ClassVar[str] = "step"
    family: ClassVar[str] = "ours"
    fitted: ClassVar[bool] = True
    uses_sensitivity: ClassVar[bool] = True
    unnamed: ClassVar[dict[str, bool]] = {"integers": False}

    step: float = 0.5
    metric: str = "fisher"
    predict: bool = True
    blocks: bool = True
    edges: bool = True
    contexts: bool = True
    integers: bool = True

    def __post_init__(self) -> None:
        if not 1e-6 <= self.step <= 1e3:
            raise ValueError(f"step {self.step} is outside 1e-6 .. 1000")
        if self.metric not in _METRICS:
            raise ValueError(f"metric {self.metric!r} is none of {', '.join(_METRICS)}")

    def fit(self, specs: Sequence[TensorSpec], samples: Iterable[Sample]) -> dict[str, np.ndarray]:
        return self.fit_with(specs, samples, None)

    def fit_with(
        self, specs: Sequence[TensorSpec], samples: Iterable[Sample], sensitivity: Mapping[str, np.ndarray] | None
    ) -> dict[str, np.ndarray]:
        """As `fit`, with what stages.sensitivity wrote: per tensor `t` (C, C), `t/start` and `t/end`."""
        if self.metric == "identity":
            return {}
        with threadpool_limits(1):
            return self._fit(specs, list(samples), None if self.metric == "none" else sensitivity)

    def _fit(
        self, specs: Sequence[TensorSpec], samples: list[Sample], sensitivity: Mapping[str, np.ndarray] | None
    ) -> dict[str, np.ndarray]:
        found = profile.gather(specs, samples)
        all_of = {s.name: self._calibration(s, found.pop(s.name), sensitivity) for s in specs}
        unit = _unit(list(all_of.values()))
        out: dict[str, np.ndarray] = {}
        for calibration in all_of.values():
            calibration.metric /= unit
        for spec in specs:
            names = prediction.sources(spec, specs) if self.predict else []
            names = [n for n in names if _alike(all_of[n], all_of[spec.name])]
            out |= profile.fit(all_of[spec.name], [all_of[n] for n in names], spec.name, self.blocks)
        return out

    def _calibration(
        self, spec: TensorSpec, samples: list[np.ndarray], sensitivity: Mapping[str, np.ndarray] | None
    ) -> profile.Calibration:
        size = len(samples[0])
        metric, weights = np.eye(size), None
        if sensitivity is not None and spec.name in sensitivity:
            metric = klt.shrunk(sensitivity[spec.name].astype(np.float64))
            weights = [sensitivity[f"{spec.name}/{edge}"] for edge in ("start", "end")]
        own = profile.Calibration(spec, samples, metric, self.edges)
        if weights is None:
            own.metric = metric / (own.power() or 1.0)
        elif self.edges:
            ends = np.concatenate([weights[0][: own.first], weights[1][: profile.LAST]])
            own.weights = np.clip(np.sqrt(ends), _QUIETEST, _LOUDEST)
        return own

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> interfaces.Coder:
        if self.metric == "identity":
            return uq_ec.Codec(self.step, scales="stream").coder(specs, assets)
        return Coder(self.step, specs, assets, self.contexts, Integers if self.integers else Floats)


def _alike(a: profile.Calibration, b: profile.Calibration) -> bool:
    """Whether two tensors have equally many vectors in every calibration sample."""
    return [s.shape[1] for s in a.samples] == [s.shape[1] for s in b.samples]


def _unit(calibrations: Sequence[profile.Calibration]) -> float:
    """Mean square of all entries in their metrics."""
    sizes = [sum(s.size for s in c.samples) for c in calibrations]
    total = sum(c.power() * n for c, n in zip(calibrations, sizes, strict=True)) / max(1, sum(sizes))
    return total or 1.0
