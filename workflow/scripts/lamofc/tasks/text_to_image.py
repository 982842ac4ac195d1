"""Text to image with a control: how well the image fits its caption, and how far it is from the uncompressed run's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lamofc import likeness
from lamofc.datasets import coco_canny
from lamofc.frechet import frechet_bias, frechet_distance, kernel_distance
from lamofc.interfaces import Example
from lamofc.tasks import items
from lamofc.tasks.image_judge import ImageJudge

FLIP_PSNR = 20.0  # dB: below it a viewer sees another image
SHOWN = 128  # pixels: longest side of the pictures kept for figures
_KEPT = 128  # descriptions of images held at a time


class Task:
    """truth: {"prompt": text, "image": path of the photograph, "control": path of its edges}.
    output: uint8 (height, width, 3).

    Score: CLIP score (Hessel et al. 2021, arXiv:2104.08718), 100 x cosine of image and caption, of the judge in the
    model's folder. Columns over the whole set besides, on the judge's features: `frechet` and `kid`, distances to the
    photographs, `frechet_bias`, what the first says of two equal distributions at this n, `frechet_to_reference`, and
    means over samples: edge_agreement with the control, PSNR, SSIM and perceptual distance to the uncompressed run.
    """

    metric, unit, higher_is_better, chance, modality = "CLIP score", "", True, None, None
    damage_name = "RMS, pixels of 0..1"
    edges = staticmethod(coco_canny.edges)

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset, self.weights = dataset, Path(weights)
        self.thresholds = [items.facts(dataset)["options"][k] for k in ("low", "high")]
        self.judge = ImageJudge(self.weights / "judge")
        self._seen = lru_cache(maxsize=_KEPT)(self._describe)

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            inputs = {"prompt": item["prompt"], "control": items.image(self.dataset / item["control"])}
            yield Example(item["id"], inputs, {}, self.truth(item))

    def truth(self, item: Mapping[str, Any]) -> dict[str, Any]:
        return {k: item[k] for k in ("prompt", "image", "control")}

    def outcome(self, output: np.ndarray, truth: dict[str, Any]) -> dict[str, float]:
        image, text = self.judge.image(output), self.judge.text(truth["prompt"])
        return {"clip": 100 * max(0.0, float(image @ text / np.linalg.norm(image) / np.linalg.norm(text)))}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return outcomes["clip"].mean(-1)

    def flipped(self, output: np.ndarray, reference: np.ndarray) -> bool:
        return likeness.psnr(output, reference) < FLIP_PSNR

    def damage(self, output: np.ndarray, reference: np.ndarray) -> float:
        """Root mean square difference of pixel values in [0, 1]: PSNR is -20 log10 of it."""
        return float(np.sqrt(likeness.squared(output, reference))) / 255

    def describe(self, image: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """-> features (n,) that sets are compared by, and maps (positions, channels) that images are."""
        found = self.judge.image(image)
        return found, [found[None] / np.linalg.norm(found)]

    def _describe(self, shape: tuple[int, ...], data: bytes) -> tuple[np.ndarray, list[np.ndarray]]:
        return self.describe(np.frombuffer(data, np.uint8).reshape(shape))

    def record(self, output: np.ndarray, reference: np.ndarray, truth: dict[str, Any]) -> dict[str, Any]:
        """What `set_columns` needs of one sample."""
        images = {"own": output, "reference": reference, "photograph": items.image(self.dataset / truth["image"])}
        seen = {k: self._seen(v.shape, v.tobytes()) for k, v in images.items()}
        control = items.image(self.dataset / truth["control"])[..., 0]
        return {k: features for k, (features, _) in seen.items()} | {
            "psnr_to_reference": likeness.psnr(output, reference),
            "ssim_to_reference": likeness.ssim(output, reference),
            "perceptual_to_reference": likeness.perceptual(seen["own"][1], seen["reference"][1]),
            "edge_agreement": likeness.edge_agreement(self.edges(output, *self.thresholds), control),
        }

    def set_columns(self, records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Columns of the table that are functions of all samples together."""
        own, reference, photograph = (np.stack([r[k] for r in records]) for k in ("own", "reference", "photograph"))
        means = [k for k in records[0] if k not in ("own", "reference", "photograph")]
        return {
            "frechet": frechet_distance(own, photograph),
            "frechet_bias": frechet_bias(photograph),
            "frechet_to_reference": frechet_distance(own, reference),
            "kid": kernel_distance(own, photograph),
            **{k: float(np.mean([r[k] for r in records])) for k in means},
        }

    def picture(self, output: np.ndarray) -> np.ndarray:
        """The output as figures show it: uint8 (height, width, 3), small."""
        step = -(-max(output.shape[:2]) // SHOWN)
        return output[::step, ::step]
