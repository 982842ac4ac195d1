"""What a text-to-image model of captioned drawings is trained on: the train part of a data set, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lamofc.datasets.easy_vqa import edges
from lamofc.tasks import items


class Drawings(NamedTuple):
    """images, controls: uint8 (n, 3, height, width); colour, shape: int64 (n,); captions: the data set's templates."""

    images: torch.Tensor
    controls: torch.Tensor
    colour: torch.Tensor
    shape: torch.Tensor
    prompts: list[str]


def load(dataset: Path, part: str = "train") -> Drawings:
    """Controls are made as the builder made those of the other parts."""
    found = list(items.of_part(dataset, part))
    options = items.facts(dataset)["options"]
    pixels = [items.image(dataset / item["image"]) for item in found]
    lines = [np.repeat(edges(p, options["low"], options["high"])[..., None], 3, -1) for p in pixels]
    images, controls = (torch.from_numpy(np.stack(x)).permute(0, 3, 1, 2).contiguous() for x in (pixels, lines))
    labels = (torch.tensor([item[k] for item in found]) for k in ("colour", "shape"))
    return Drawings(images, controls, *labels, [item["prompt"] for item in found])


def scaled(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def captions(dataset: Path) -> list[str]:
    """Every caption that the data set's templates make, in order."""
    facts = items.facts(dataset)
    return [t.format(colour=c, shape=s) for t in facts["captions"] for c in facts["colours"] for s in facts["shapes"]]
