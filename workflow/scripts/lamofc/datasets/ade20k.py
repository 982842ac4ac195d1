"""ADE20K scene parsing (Zhou et al. 2017), the release of 150 classes: images/ and annotations/ of both parts.

Test images are of the validation part, calibration images of the training part.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lamofc.datasets import pictures
from lamofc.datasets.folder import DatasetFolder
from lamofc.errors import ConfigError

DESCRIPTION = "Photographs of scenes; every pixel has one of 150 classes or none (255)"
LICENCE = "ADE20K terms of use"
OPTIONS = {"test": 100, "calibration": 10}
CLASSES = 150
SOURCES = {"calibration": "training", "test": "validation"}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, test: int, calibration: int
) -> None:
    """Fields: image (PNG), labels (PNG, 0..149, 255 where nothing is labelled)."""
    found = pictures.files(packages)
    for part, count in (("calibration", calibration), ("test", test)):
        source = SOURCES[part]
        images = [p for p in found if p.parent.name == source and p.parent.parent.name == "images"]
        chosen = pictures.choose(images, rng, {part: count}, f"ADE20K images/{source}")[part]
        for path in chosen:
            labels = classes_of(path.parents[2] / "annotations" / source / f"{path.stem}.png")
            pixels = np.asarray(pictures.read(path))
            if pixels.shape[:2] != labels.shape:
                raise ConfigError(f"{path} and its annotation differ in size: {pixels.shape[:2]}, {labels.shape}")
            image = target.png(f"images/{path.stem}.png", pixels)
            target.add(part, path.stem, image=image, labels=target.png(f"labels/{path.stem}.png", labels))
    target.facts |= {"classes": CLASSES}


def classes_of(path: Path) -> np.ndarray:
    """Annotation PNG, 0 = not labelled, 1..150 = classes -> uint8, 0..149 and 255."""
    with Image.open(path) as picture:
        return np.asarray(picture).astype(np.uint8) - np.uint8(1)
