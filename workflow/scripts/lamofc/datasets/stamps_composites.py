"""Where is the object? Cut-out photos pasted onto photographs, with the exact mask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.datasets.stamps import DRAWN, ROOT, groups, load, split, stamps_in
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


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, min_stamp_side: int, **options
) -> None:
    """Fields: image (RGB PNG), mask (gray PNG, 0..255), source, background. Objects may repeat within a part."""
    root = find_one(packages, ROOT)
    stamps = [p for folder in FOLDERS for p in stamps_in(root, folder) if _is_photo(p, min_stamp_side)]
    share = options["calibration"] / (options["calibration"] + options["test"])
    covered: dict[str, list[float]] = {part: [] for part in PARTS}
    for part, paths in zip(PARTS, split(groups(stamps), share, rng), strict=True):
        photos = backgrounds(packages, options[f"{part}_backgrounds"])
        for number in range(options[part]):
            turn, place = divmod(number, len(paths))  # a repeated object comes back on the next background
            path, (photo, background) = paths[place], list(photos.items())[(place + turn) % len(photos)]
            image, mask = map(np.asarray, paste(load(path), background, rng, options))
            name = f"{part[:4]}-{number:03d}-{path.stem}"
            files = target.png(f"images/{name}.png", image), target.png(f"masks/{name}.png", mask)
            target.add(part, name, image=files[0], mask=files[1], source=path.stem, background=photo)
            covered[part].append(float((mask > 127).mean()))
    target.facts |= {"chance": float(np.mean(covered["test"]))}  # IoU of a mask that is everywhere


def paste(stamp: Image.Image, photo: Image.Image, rng: np.random.Generator, options: Mapping):
    """A stamp at a random size and place on a random crop: RGB picture, mask of the stamp (both size x size)."""
    picture = crop(photo, rng, options)
    return picture, place(stamp, picture, rng, options["object_side"])


def crop(photo: Image.Image, rng: np.random.Generator, options: Mapping) -> Image.Image:
    """A random square of a photo, brought to the picture's size."""
    least, most = options["crop_side"]
    side = int(rng.integers(least, min(most, *photo.size) + 1))
    left, top = (int(rng.integers(0, n - side + 1)) for n in photo.size)
    square = photo.crop((left, top, left + side, top + side))
    return square.resize((options["size"], options["size"]), Image.Resampling.LANCZOS)


def place(stamp: Image.Image, picture: Image.Image, rng: np.random.Generator, sides: list[float]) -> Image.Image:
    """Paste into the picture a stamp whose longer side is a random share of its side; the mask of the stamp alone."""
    side = picture.width
    factor = rng.uniform(*sides) * side / max(stamp.size)
    shape = [max(1, int(n * factor)) for n in stamp.size]
    stamp = stamp.resize(shape, Image.Resampling.LANCZOS)
    corner = tuple(int(rng.integers(0, side - n + 1)) for n in shape)
    mask = Image.new("L", picture.size)
    mask.paste(stamp.getchannel("A"), corner)
    picture.paste(stamp, corner, stamp)
    return mask


def _is_photo(path: Path, min_side: int) -> bool:
    with Image.open(path) as image:
        return min(image.size) >= min_side and not DRAWN & set(path.parts)


def backgrounds(packages: Mapping[str, Path], names: list[str]) -> dict[str, Image.Image]:
    """Photographs by name; "plain" is white."""
    white = Image.new("RGB", (1000, 1000), "white")
    return {n: white if n == "plain" else Image.open(find_all(packages, f"{n}.jpg")[0]).convert("RGB") for n in names}
