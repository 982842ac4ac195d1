"""ImageNet classification: top-1 over the classes that the data set scores (all 1000, or the 200 of A or R)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lamofc.jsonio import read_json
from lamofc.tasks import classification


class Task(classification.Task):
    """truth: label, 0..999. output: {"label", "logits"} over 1000 classes; only the scored ones compete."""

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset = dataset
        self.classes = np.asarray(read_json(dataset / "dataset.json")["classes"])
        self.chance = 100.0 / len(self.classes)

    def label(self, output: dict[str, Any]) -> int:
        return int(self.classes[np.argmax(np.asarray(output["logits"])[self.classes])])

    def outcome(self, output: dict[str, Any], truth: int) -> dict[str, float]:
        return {"correct": float(self.label(output) == truth)}

    def flipped(self, output: dict[str, Any], reference: dict[str, Any]) -> bool:
        return self.label(output) != self.label(reference)
