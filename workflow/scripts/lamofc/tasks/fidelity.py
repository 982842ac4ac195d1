"""No task at all: how well features survive, for curves whose features were imported without their model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from lamofc.errors import ConfigError
from lamofc.interfaces import Example


class Task:
    """outcome: {"cosine"} of a sample, mean over its tensors. flipped: any bit differs. damage: 1 - cosine."""

    metric, unit, higher_is_better, chance, modality = "cosine", "%", True, None, None
    damage_name = "1 - cosine"

    def __init__(self, dataset: Path, weights: Path) -> None:
        pass

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        raise ConfigError("task fidelity has no samples of its own: it is for models of family hosted")

    def outcome(self, output: float, truth: None) -> dict[str, float]:
        return {"cosine": output}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["cosine"].mean(-1)

    def flipped(self, output: float, reference: float) -> bool:
        return output != reference

    def damage(self, output: float, reference: float) -> float:
        return max(0.0, reference - output)
