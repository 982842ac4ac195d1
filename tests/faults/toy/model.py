"""A model of numpy alone, so that a run of the whole workflow takes seconds: family `toy` of the test project."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from lamofc.interfaces import Sample, TensorSpec

LABELS = 4


class Model:
    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str | None = None,
        readout_weights: Path | None = None,
        width: int = 16,
    ) -> None:
        self.width = width
        self.specs = [
            TensorSpec("output", "tokens", "float32", (None, width), layer=1),
            TensorSpec("key", "key", "bfloat16", (2, None, width // 2), layer=0),
        ]

    def head(self, inputs: list[dict[str, Any]]) -> list[Sample]:
        time.sleep(float(os.environ.get("TOY_SECONDS", 0)))  # for tests that want a run to last
        return [self._features(i["seed"]) for i in inputs]

    def tail(self, features: list[Sample], side: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self._output(f) for f in features]

    def unsplit(self, inputs: list[dict[str, Any]], side: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self._output(self._features(i["seed"])) for i in inputs]

    def _features(self, seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        rows = 20 + seed % 5
        scale = np.exp(rng.standard_normal(self.width)).astype(np.float32)
        return {
            "output": rng.standard_normal((rows, self.width), np.float32) * scale,
            "key": rng.standard_normal((2, rows, self.width // 2)).astype(ml_dtypes.bfloat16),
        }

    @staticmethod
    def _output(features: Sample) -> dict[str, Any]:
        logits = features["output"].mean(0)[:LABELS] + features["key"].astype(np.float32).mean()
        return {"label": int(np.argmax(logits)), "logits": logits.astype(np.float32)}
