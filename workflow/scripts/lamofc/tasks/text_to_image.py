"""Text to image with a control: how well the image fits its caption, and how far it is from the uncompressed run's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.frechet import frechet_distance
from lamofc.interfaces import Example
from lamofc.tasks import items
from lamofc.tasks.image_judge import ImageJudge

FLIP_PSNR = 20.0  # dB: below it a viewer sees another image


class Task:
    """truth: {"prompt": text, "image": path of the photograph}. output: uint8 (height, width, 3).

    Score: CLIP score (Hessel et al. 2021, arXiv:2104.08718), 100 x cosine of image and caption, of the judge in the
    model's folder. Columns over the whole set besides: `frechet`, the distance of the judge's features to the
    photographs', `frechet_to_reference` to the uncompressed run's images, and `psnr_to_reference`.
    """

    metric, unit, higher_is_better, chance, modality = "CLIP score", "", True, None, None
    damage_name = "RMS, pixels of 0..1"

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset, self.judge = dataset, ImageJudge(Path(weights) / "judge")

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            inputs = {"prompt": item["prompt"], "control": items.image(self.dataset / item["control"])}
            yield Example(item["id"], inputs, {}, {"prompt": item["prompt"], "image": item["image"]})

    def outcome(self, output: np.ndarray, truth: dict[str, Any]) -> dict[str, float]:
        image, text = self.judge.image(output), self.judge.text(truth["prompt"])
        return {"clip": 100 * max(0.0, float(image @ text / np.linalg.norm(image) / np.linalg.norm(text)))}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return outcomes["clip"].mean(-1)

    def flipped(self, output: np.ndarray, reference: np.ndarray) -> bool:
        return psnr(output, reference) < FLIP_PSNR

    def damage(self, output: np.ndarray, reference: np.ndarray) -> float:
        """Root mean square difference of pixel values in [0, 1]: PSNR is -20 log10 of it."""
        return float(np.sqrt(_squared(output, reference))) / 255

    def record(self, output: np.ndarray, reference: np.ndarray, truth: dict[str, Any]) -> dict[str, Any]:
        """What `set_columns` needs of one sample."""
        images = {"own": output, "reference": reference, "photograph": items.image(self.dataset / truth["image"])}
        return {k: self.judge.image(v) for k, v in images.items()} | {"psnr": psnr(output, reference)}

    def set_columns(self, records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Columns of the table that are functions of all samples together."""
        own, reference, photograph = (np.stack([r[k] for r in records]) for k in ("own", "reference", "photograph"))
        return {
            "frechet": frechet_distance(own, photograph),
            "frechet_to_reference": frechet_distance(own, reference),
            "psnr_to_reference": float(np.mean([r["psnr"] for r in records])),
        }


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of two uint8 images, dB; 100 where they are equal."""
    error = _squared(a, b)
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))


def _squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(a.astype(np.float64) - b).mean())
