"""Image classification: top-1 accuracy over the classes of the data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.interfaces import Example
from lamofc.tasks import items, measures
from lamofc.tasks.divergence import divergence


class Task:
    """truth: label. output: {"label", "logits"} over all classes that the head knows.

    As ImageNet-A and -R are scored with ImageNet's head, the answer is the best of the classes that the set has.
    """

    metric, unit, higher_is_better = "top-1", "%", True
    damage_name = "KL (nats)"
    modality = "image"

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset = dataset
        self.classes = sorted({i["label"] for part in items.PARTS for i in items.of_part(dataset, part)})
        self.chance = 100.0 / len(self.classes)

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            pixels = items.image(self.dataset / item["image"])
            yield Example(item["id"], {"image": pixels}, {"size": list(pixels.shape[:2])}, item["label"])

    def outcome(self, output: dict[str, Any], truth: int) -> dict[str, float]:
        return {"correct": float(self._answer(output) == truth)}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["correct"].mean(-1)

    def flipped(self, output: dict[str, Any], reference: dict[str, Any]) -> bool:
        return self._answer(output) != self._answer(reference)

    def damage(self, output: dict[str, Any], reference: dict[str, Any]) -> float:
        """Kullback-Leibler divergence of the set's class distribution from the uncompressed run's, nats."""
        return divergence(output["logits"][self.classes], reference["logits"][self.classes])

    def measure(self, scores: Any) -> Any:
        return measures.likelihood(scores[..., self.classes])

    def _answer(self, output: dict[str, Any]) -> int:
        return self.classes[int(np.argmax(output["logits"][self.classes]))]
