"""Binary segmentation: mean intersection over union with the exact mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from lamofc.interfaces import Example
from lamofc.jsonio import read_json
from lamofc.tasks import items, measures

FLIP_IOU = 0.95  # below this overlap with the uncompressed run's mask a reader sees another mask


class Task:
    """truth and output: bool mask (height, width). `chance` is that of a mask that is everywhere."""

    metric, unit, higher_is_better = "mIoU", "%", True
    damage_name = "1 - IoU"
    modality = "image"
    measure = staticmethod(measures.likelihood)

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset = dataset
        chance = read_json(dataset / "dataset.json").get("chance")
        self.chance = None if chance is None else 100 * chance

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            pixels, truth = items.image(self.dataset / item["image"]), items.mask(self.dataset / item["mask"])
            yield Example(item["id"], {"image": pixels}, {"size": list(pixels.shape[:2])}, truth)

    def outcome(self, output: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        return {"iou": iou(output, truth)}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["iou"].mean(-1)

    def flipped(self, output: np.ndarray, reference: np.ndarray) -> bool:
        return iou(output, reference) < FLIP_IOU

    def damage(self, output: np.ndarray, reference: np.ndarray) -> float:
        """1 - IoU with the uncompressed run's mask."""
        return 1 - iou(output, reference)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two bool masks; 1 when both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
