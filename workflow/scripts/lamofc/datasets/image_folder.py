"""A folder of images on this machine as a classification set: one subfolder per class, as ImageNet is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lamofc.datasets.folder import DatasetFolder
from lamofc.datasets.labelled import alternate
from lamofc.errors import ConfigError

DESCRIPTION = "Images of a local folder, one subfolder per class, shorter side scaled, centre cropped"
LICENCE = "as its owner gives it"
OPTIONS = {"folder": "", "size": 224, "calibration_share": 0.4, "per_class": 50}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, folder: str, size: int,
    calibration_share: float, per_class: int,
) -> None:  # fmt: skip
    """Fields: image (PNG), label (index of the subfolder in sorted order), source.

    ConfigError when the folder is missing or a class has fewer than two images.
    """
    root = Path(folder)
    if not folder or not root.is_dir():
        raise ConfigError(f"option folder: {folder!r} is no folder of this machine; name the one of the classes")
    names = sorted(p.name for p in root.iterdir() if p.is_dir())
    chosen = [_chosen(root / name, per_class, rng) for name in names]
    if len(names) < 2 or min(map(len, chosen)) < 2:
        raise ConfigError(f"{root}: want two or more subfolders with two or more images each ({', '.join(SUFFIXES)})")
    cuts = [min(len(c) - 1, max(1, round(calibration_share * len(c)))) for c in chosen]
    parts = {"calibration": [c[:k] for c, k in zip(chosen, cuts, strict=True)],
             "test": [c[k:] for c, k in zip(chosen, cuts, strict=True)]}  # fmt: skip
    for part, lists in parts.items():
        for label, path in alternate(lists):
            name = f"{part[:4]}-{len(target.items):05d}"
            with Image.open(path) as picture:
                image = target.png(f"images/{name}.png", centre(picture.convert("RGB"), size))
            target.add(part, name, image=image, label=label, source=path.relative_to(root).as_posix())
    target.facts |= {"chance": 1 / len(names), "classes": names}


def centre(picture: Image.Image, size: int) -> np.ndarray:
    """The central square at `size` x `size`: uint8 (size, size, 3)."""
    side = min(picture.size)
    left, top = ((n - side) // 2 for n in picture.size)
    square = picture.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))


def _chosen(folder: Path, limit: int, rng: np.random.Generator) -> list[Path]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    return [found[i] for i in rng.permutation(len(found))[:limit]]
