"""Segmentation into many classes: mean over classes of intersection over union, summed over the whole data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lamofc.interfaces import Example
from lamofc.jsonio import read_json
from lamofc.tasks import items, measures

IGNORED = 255
FLIP = 0.05  # share of pixels of another class that a reader sees as another result


class Task:
    """truth and output: uint8 (height, width), class of every pixel; truth 255 is left out of the score.

    Outcomes: `both.<class>` and `either.<class>`, pixels in the intersection and in the union. Classes that occur
    neither in the truths nor in the outputs do not count.
    """

    metric, unit, higher_is_better, chance = "mIoU", "%", True, None
    damage_name = "share of pixels"
    modality = "image"
    measure = staticmethod(measures.likelihood)

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset = dataset
        self.classes = int(read_json(dataset / "dataset.json")["classes"])

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            pixels = items.image(self.dataset / item["image"])
            with Image.open(self.dataset / item["labels"]) as picture:
                truth = np.asarray(picture)
            yield Example(item["id"], {"image": pixels}, {"size": list(pixels.shape[:2])}, truth)

    def outcome(self, output: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        known = truth != IGNORED
        output, truth = output[known], truth[known]
        both, wanted, given = (
            np.bincount(values, minlength=self.classes) for values in (truth[output == truth], truth, output)
        )
        either = wanted + given - both
        names = ("both", both), ("either", either)
        return {f"{name}.{i}": float(counts[i]) for name, counts in names for i in range(self.classes)}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        classes = [k.removeprefix("both.") for k in outcomes if k.startswith("both.")]
        both, either = (np.stack([outcomes[f"{n}.{c}"].sum(-1) for c in classes]) for n in ("both", "either"))
        present = either > 0
        shares = np.where(present, both / np.maximum(either, 1), 0)
        return 100 * shares.sum(0) / np.maximum(present.sum(0), 1)

    def flipped(self, output: np.ndarray, reference: np.ndarray) -> bool:
        return self.damage(output, reference) > FLIP

    def damage(self, output: np.ndarray, reference: np.ndarray) -> float:
        """Share of pixels whose class differs from the uncompressed run's."""
        return float(np.mean(output != reference))
