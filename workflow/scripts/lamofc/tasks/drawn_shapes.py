"""Text to image on captioned drawings: a judge reads which shape of which colour was drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.datasets import easy_vqa
from lamofc.tasks import text_to_image


class Task(text_to_image.Task):
    """truth: {"prompt", "image", "control", "colour": index, "shape": index}.

    Score: images in which the judge of the model's folder reads the asked colour and the asked shape. Columns besides:
    those of text_to_image on features of EfficientNet-Lite0, and `colour` and `shape`, each for itself.
    """

    metric, unit, higher_is_better = "colour and shape as asked", "%", True
    chance = 100 / len(easy_vqa.PAIRS)
    edges = staticmethod(easy_vqa.edges)

    def __init__(self, dataset: Path, weights: Path) -> None:
        super().__init__(dataset, weights)
        self.judge = None

    def truth(self, item: Mapping[str, Any]) -> dict[str, Any]:
        return super().truth(item) | {k: item[k] for k in ("colour", "shape")}

    def outcome(self, output: np.ndarray, truth: dict[str, Any]) -> dict[str, float]:
        right = {k: float(found == truth[k]) for k, found in self._read(output).items()}
        return right | {"both": min(right.values())}

    def flipped(self, output: np.ndarray, reference: np.ndarray) -> bool:
        """The judge reads another colour or shape, or a viewer sees another image."""
        return self._read(output) != self._read(reference) or super().flipped(output, reference)

    def _read(self, image: np.ndarray) -> dict[str, int]:
        from lamofc.tasks import shape_judge

        found = shape_judge.read(shape_judge.load(self.weights / "judge"), image[None])
        return {k: int(found[k][0]) for k in shape_judge.READS}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["both"].mean(-1)

    def describe(self, image: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        from lamofc import efficientnet

        return efficientnet.describe(efficientnet.load(self.weights / "features"), image)

    def record(self, output: np.ndarray, reference: np.ndarray, truth: dict[str, Any]) -> dict[str, Any]:
        own = self.outcome(output, truth)
        return super().record(output, reference, truth) | {k: 100 * own[k] for k in ("colour", "shape")}
