"""What does the photo show? Cut-out photos of ten classes, large on a photographic background."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.datasets.labelled import CLASSES, alternate, divided
from lamofc.datasets.stamps import ROOT, load
from lamofc.datasets.stamps_composites import backgrounds, paste
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Cut-out photos of Tux Paint, each filling a crop of a MATE photograph or on white, 224x224; ten classes"
LICENCE = "GPL-2.0-only AND GPL-2.0-or-later"  # stamps, backgrounds
OPTIONS = {
    "per_class": 30,
    "calibration_share": 0.48,
    "views": {"calibration": 3, "test": 1},  # pictures of each object, on one background after the other
    "size": 224,
    "object_side": [0.6, 0.95],  # longer side of the object as a share of the picture's
    "crop_side": [400, 900],  # pixels cut out of the background
    "calibration_backgrounds": ["plain", "Aqua", "Blinds", "RainDrops"],
    "test_backgrounds": ["plain", "Dune", "GreenMeadow", "Storm", "Wood"],
}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, per_class: int,
    calibration_share: float, **options,
) -> None:  # fmt: skip
    """Fields: image (PNG), label (index of the class), source (path of the stamp), background."""
    root = find_one(packages, ROOT)
    sides = divided(root, calibration_share, per_class, rng)
    for part in PARTS:
        photos = backgrounds(packages, options[f"{part}_backgrounds"])
        order = [(view, *pair) for view in range(options["views"][part]) for pair in alternate(sides[part])]
        for number, (view, label, path) in enumerate(order):
            place = label + view + sides[part][label].index(path)  # so that no background tells the class
            name, photo = list(photos.items())[place % len(photos)]
            picture, _ = paste(load(path), photo, rng, options)
            sample = f"{part[:4]}-{number:03d}-{CLASSES[label].replace(' ', '-')}-{path.stem}"
            image = target.png(f"images/{sample}.png", np.asarray(picture))
            source = path.relative_to(root).as_posix()
            target.add(part, sample, image=image, label=label, source=source, background=name)
    target.facts |= {"chance": 1 / len(CLASSES), "classes": list(CLASSES)}
