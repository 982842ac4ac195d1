"""Depth of every pixel: root mean square error in metres, and the other measures as outcomes beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lamofc.interfaces import Example
from lamofc.jsonio import read_json
from lamofc.tasks import items, measures

LIMITS = (1e-3, 10.0)  # metres that outputs are clipped to, as the paper does
FLIP = 0.05  # mean change of log-depth, about 5 %, that a user of the map would notice


class Task:
    """truth and output: float32 (height, width), metres; a truth of 0 is not known and left out.

    Each measure is a mean over pixels, then over pictures. `chance` is that of the calibration part's mean depth.

    Tasks depth_abs_rel and depth_delta score the other two measures: a further row of scenarios.tsv each.
    """

    metric, unit, higher_is_better = "RMSE", "m", False
    damage_name = "change of log-depth"
    modality = "image"
    of_chance: ClassVar[str] = "rmse"

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset = dataset
        chance = read_json(dataset / "dataset.json").get("chances", {}).get(self.of_chance)
        self.chance = None if chance is None else float(self.score({self.of_chance: np.array([chance])}))

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            pixels, truth = items.image(self.dataset / item["image"]), items.depth(self.dataset / item["depth"])
            yield Example(item["id"], {"image": pixels}, {"size": list(pixels.shape[:2])}, truth)

    def outcome(self, output: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        return errors(output, truth)

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return outcomes["rmse"].mean(-1)

    def flipped(self, output: np.ndarray, reference: np.ndarray) -> bool:
        return self.damage(output, reference) > FLIP

    def damage(self, output: np.ndarray, reference: np.ndarray) -> float:
        """Mean absolute difference of log-depth to the uncompressed run's map."""
        return float(np.abs(np.log(_clipped(output)) - np.log(_clipped(reference))).mean())

    def measure(self, scores: Any) -> Any:
        """Metres -> log-depth."""
        return measures.values(scores.clamp(*LIMITS).log())


def errors(output: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """rmse in metres, abs_rel = mean |output - truth| / truth, delta = share of pixels within a factor of 1.25."""
    known = truth > 0
    output, truth = _clipped(output)[known], truth[known].astype(np.float64)
    ratio = np.maximum(output / truth, truth / output)
    return {
        "rmse": float(np.sqrt(np.square(output - truth).mean())),
        "abs_rel": float((np.abs(output - truth) / truth).mean()),
        "delta": float((ratio < 1.25).mean()),
    }


def _clipped(depth: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(depth.astype(np.float64), nan=LIMITS[1]), *LIMITS)
