"""COCO 2017 validation images (Lin et al. 2014) with captions: the prompt is a caption, the control its image's edges.

Read from annotations/captions_val2017.json and val2017/. Calibration and test samples are different images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets import pictures
from lamofc.datasets.canny import canny, gray
from lamofc.datasets.folder import DatasetFolder
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Captions of photographs and Canny edges of the photographs, cut to a square"
LICENCE = "CC-BY-4.0 (annotations); images under the terms of their owners"
OPTIONS = {"size": 1024, "low": 50, "high": 150, "test": 100, "calibration": 10}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, size: int, low: int, high: int,
    test: int, calibration: int,
) -> None:  # fmt: skip
    """Fields: prompt, control (PNG of edges), image (PNG of the photograph)."""
    captions = json.loads(find_one(packages, "captions_val2017.json").read_text())
    first: dict[int, str] = {}
    for row in sorted(captions["annotations"], key=lambda r: r["id"]):
        first.setdefault(row["image_id"], " ".join(row["caption"].split()))
    names = {row["id"]: row["file_name"] for row in captions["images"]}
    paths = {p.name: p for p in pictures.files(packages)}
    known = sorted(i for i in first if names[i] in paths)
    for part, chosen in pictures.choose(known, rng, {"calibration": calibration, "test": test}, "COCO").items():
        for number in chosen:
            pixels = pictures.square(pictures.read(paths[names[number]]), size)
            image = target.png(f"images/{number:012d}.png", pixels)
            control = target.png(f"control/{number:012d}.png", edges(pixels, low, high))
            target.add(part, f"{number:012d}", prompt=first[number], control=control, image=image)


def edges(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 RGB (height, width, 3) -> uint8 (height, width), 255 on edges of the luma."""
    return canny(gray(image), low, high)
