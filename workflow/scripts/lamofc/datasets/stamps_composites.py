"""Where is the object? Cut-out photos pasted onto photographs, with the exact mask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.datasets.stamps import ROOT, groups, load, split, stamps_in
from lamofc.fetch.unpacked import find_all, find_one

DESCRIPTION = "Cut-out photos of Tux Paint on MATE background photographs, 224x224; the mask is the object's alpha"
LICENCE = "GPL-2.0-only AND GPL-2.0-or-later"  # stamps, backgrounds
OPTIONS = {
    "calibration": 100,
    "test": 150,
    "size": 224,
    "object_side": [0.45, 0.7],  # longer side of the object as a share of the picture's
    "crop_side": [400, 900],  # pixels cut out of the background
    "min_stamp_side": 110,
    "calibration_backgrounds": ["Aqua", "Blinds", "RainDrops"],
    "test_backgrounds": ["Dune", "GreenMeadow", "Storm", "Wood"],
}

FOLDERS = ("animals/mammals", "animals/birds", "animals/fish", "animals/insects", "food/fruit", "food/vegetables",
           "plants/flowers", "vehicles")  # fmt: skip
DRAWN = {"cartoon", "toys", "plastic"}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, min_stamp_side: int, **options
) -> None:
    """Fields: image (RGB PNG), mask (gray PNG, 0..255), source, background. Objects may repeat within a part."""
    root = find_one(packages, ROOT)
    stamps = [p for folder in FOLDERS for p in stamps_in(root, folder) if _is_photo(p, min_stamp_side)]
    share = options["calibration"] / (options["calibration"] + options["test"])
    for part, paths in zip(PARTS, split(groups(stamps), share, rng), strict=True):
        photos = _backgrounds(packages, options[f"{part}_backgrounds"])
        for number in range(options[part]):
            turn, place = divmod(number, len(paths))  # a repeated object comes back on the next background
            path, (photo, background) = paths[place], list(photos.items())[(place + turn) % len(photos)]
            image, mask = compose(load(path), background, rng, options)
            name = f"{part[:4]}-{number:03d}-{path.stem}"
            files = target.png(f"images/{name}.png", image), target.png(f"masks/{name}.png", mask)
            target.add(part, name, image=files[0], mask=files[1], source=path.stem, background=photo)


def compose(stamp: Image.Image, photo: Image.Image, rng: np.random.Generator, options: Mapping):
    """Paste a stamp at a random size and place on a random crop: uint8 (side, side, 3), uint8 mask (side, side)."""
    side = options["size"]
    picture = _crop(photo, rng, options["crop_side"]).resize((side, side), Image.Resampling.LANCZOS)
    factor = rng.uniform(*options["object_side"]) * side / max(stamp.size)
    shape = [max(1, int(n * factor)) for n in stamp.size]
    stamp = stamp.resize(shape, Image.Resampling.LANCZOS)
    corner = tuple(int(rng.integers(0, side - n + 1)) for n in shape)
    mask = Image.new("L", (side, side))
    mask.paste(stamp.getchannel("A"), corner)
    picture.paste(stamp, corner, stamp)
    return np.asarray(picture), np.asarray(mask)


def _crop(photo: Image.Image, rng: np.random.Generator, sides: list[int]) -> Image.Image:
    side = int(rng.integers(sides[0], min(sides[1], *photo.size) + 1))
    left, top = (int(rng.integers(0, n - side + 1)) for n in photo.size)
    return photo.crop((left, top, left + side, top + side))


def _is_photo(path: Path, min_side: int) -> bool:
    with Image.open(path) as image:
        return min(image.size) >= min_side and not DRAWN & set(path.parts)


def _backgrounds(packages: Mapping[str, Path], names: list[str]) -> dict[str, Image.Image]:
    return {name: Image.open(find_all(packages, f"{name}.jpg")[0]).convert("RGB") for name in names}
