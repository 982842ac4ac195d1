"""What does the stamp show? Twelve classes of drawings and cut-out photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.datasets.stamps import ROOT, groups, load, over, split, stamps_in
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Tux Paint stamps (drawings and cut-out photos) on white, 224x224; the label is one of twelve classes"
LICENCE = "GPL-2.0-only"
OPTIONS = {"per_class": 42, "calibration_share": 0.48, "size": 224, "background": [255, 255, 255]}

FOLDERS = {
    "mammal": "animals/mammals",
    "bird": "animals/birds",
    "insect": "animals/insects",
    "fish": "animals/fish",
    "fruit": "food/fruit",
    "vegetable": "food/vegetables",
    "flower": "plants/flowers",
    "vehicle": "vehicles",
    "building": "town/houses",
    "road sign": "town/roadsigns",
    "money": "symbols/money",
    "clothing": "clothes",
}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, per_class: int,
    calibration_share: float, size: int, background: list[int],
) -> None:  # fmt: skip
    """Fields: image (PNG), label (index of the class), source (path of the stamp)."""
    root = find_one(packages, ROOT)
    sides = [_class_sides(root, folder, calibration_share, per_class, rng) for folder in FOLDERS.values()]
    for number, part in enumerate(PARTS):
        for label, path in _alternate([side[number] for side in sides]):
            name = f"{list(FOLDERS)[label].replace(' ', '-')}-{path.stem}-{len(target.items):03d}"
            picture = over(load(path), tuple(background)).resize((size, size), Image.Resampling.LANCZOS)
            image = target.png(f"images/{name}.png", np.asarray(picture))
            target.add(part, name, image=image, label=label, source=path.relative_to(root).as_posix())
    target.facts |= {"chance": 1 / len(FOLDERS), "classes": list(FOLDERS)}


def _class_sides(root: Path, folder: str, share: float, limit: int, rng: np.random.Generator) -> list[list[Path]]:
    sides = split(groups(stamps_in(root, folder)), share, rng)
    kept = [round(limit * share), limit - round(limit * share)]
    return [side[:n] for side, n in zip(sides, kept, strict=True)]


def _alternate(lists: list[list[Path]]) -> list[tuple[int, Path]]:
    """One of each class in turn, so that a prefix is as balanced as can be."""
    longest = max(map(len, lists))
    return [(label, paths[i]) for i in range(longest) for label, paths in enumerate(lists) if i < len(paths)]
