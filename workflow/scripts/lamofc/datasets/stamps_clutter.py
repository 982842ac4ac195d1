"""What does the picture show, hard: a small object among things of no class on a photograph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.datasets.labelled import CLASSES, alternate, divided
from lamofc.datasets.stamps import ROOT, groups, load, split, stamps_in
from lamofc.datasets.stamps_composites import backgrounds, crop, place
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Small cut-out photos of Tux Paint among things of no class on MATE photographs, 224x224; ten classes"
LICENCE = "GPL-2.0-only AND GPL-2.0-or-later"  # stamps, backgrounds
OPTIONS = {
    "per_class": 30,
    "calibration_share": 0.48,
    "size": 224,
    "object_side": [0.4, 0.65],
    "clutter_side": [0.25, 0.45],
    "clutter": 2,  # things of no class in a picture
    "crop_side": [400, 900],
    "calibration_backgrounds": ["Aqua", "Blinds", "RainDrops"],
    "test_backgrounds": ["Dune", "GreenMeadow", "Storm", "Wood"],
}
CLUTTER = ("town/roadsigns", "town/flags", "plants/mushrooms", "plants/trees", "food/nuts", "town/monuments")


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, per_class: int,
    calibration_share: float, **options,
) -> None:  # fmt: skip
    """Fields: image (PNG), label, source (path of the stamp), clutter (paths), background.

    With the seed and shares of a set of builder stamps_photos, the parts hold the same objects as that set's.
    """
    root = find_one(packages, ROOT)
    sides = divided(root, calibration_share, per_class, rng)
    things = split(groups([p for folder in CLUTTER for p in stamps_in(root, folder)]), calibration_share, rng)
    for part, others in zip(PARTS, things, strict=True):
        photos = backgrounds(packages, options[f"{part}_backgrounds"])
        for number, (label, path) in enumerate(alternate(sides[part])):
            place_in_class = label + sides[part][label].index(path)  # so that no background tells the class
            name, photo = list(photos.items())[place_in_class % len(photos)]
            beside = [others[i] for i in rng.choice(len(others), options["clutter"], replace=False)]
            picture = crop(photo, rng, options)
            for thing in beside:
                place(load(thing), picture, rng, options["clutter_side"])
            place(load(path), picture, rng, options["object_side"])
            sample = f"{part[:4]}-{number:03d}-{CLASSES[label].replace(' ', '-')}-{path.stem}"
            image = target.png(f"images/{sample}.png", np.asarray(picture))
            relative = [p.relative_to(root).as_posix() for p in (path, *beside)]
            target.add(part, sample, image=image, label=label, source=relative[0], clutter=relative[1:],
                       background=name)  # fmt: skip
    target.facts |= {"chance": 1 / len(CLASSES), "classes": list(CLASSES)}
