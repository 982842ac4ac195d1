"""NYU Depth V2 (Silberman et al. 2012): the labelled set as its .mat file, or extracted to pictures.

The .mat file comes with splits.mat; an extracted folder has <train or test>/.../rgb_<n>.jpg beside sync_depth_<n>.png
in millimetres. Test images are of the official test part, calibration images of the training part. Depth outside the
crop of Eigen et al. 2014 counts as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lamofc.datasets import pictures
from lamofc.datasets.folder import DatasetFolder
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Photographs of rooms, 480x640, with measured depth up to 10 m inside the Eigen crop"
LICENCE = "NYU Depth V2 terms of use"
OPTIONS = {"test": 100, "calibration": 10, "nearest": 0.001, "farthest": 10.0}
CROP = (slice(45, 471), slice(41, 601))
SPLITS = {"calibration": ("train", "trainNdxs"), "test": ("test", "testNdxs")}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, test: int, calibration: int,
    nearest: float, farthest: float,
) -> None:  # fmt: skip
    """Fields: image (PNG), depth (16-bit PNG, millimetres, 0 where unknown)."""
    matlab = any(path for p in packages.values() for path in Path(p).rglob("*.mat"))
    read = _from_matlab if matlab else _from_folder
    for part, count in (("calibration", calibration), ("test", test)):
        for name, pixels, depth in read(packages, part, count, rng):
            image = target.png(f"images/{name}.png", pixels)
            path = target.png(f"depth/{name}.png", scored(depth, nearest, farthest))
            target.add(part, name, image=image, depth=path)


def scored(depth: np.ndarray, nearest: float, farthest: float) -> np.ndarray:
    """Metres (480, 640) -> uint16 millimetres, 0 outside the Eigen crop and outside nearest..farthest."""
    kept = np.zeros(depth.shape, bool)
    kept[CROP] = True
    kept &= (depth > nearest) & (depth < farthest)
    return np.where(kept, np.rint(depth * 1000), 0).astype(np.uint16)


def _from_matlab(
    packages: Mapping[str, Path], part: str, count: int, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    import h5py
    from scipy.io import loadmat

    numbers = loadmat(find_one(packages, "splits.mat"))[SPLITS[part][1]].ravel().astype(int)
    chosen = pictures.choose(sorted(numbers), rng, {part: count}, f"NYU Depth V2, {SPLITS[part][0]}")[part]
    with h5py.File(find_one(packages, "nyu_depth_v2_labeled.mat")) as file:
        for number in chosen:  # from 1; MATLAB stores columns first
            image, depth = file["images"][number - 1], file["depths"][number - 1]
            yield f"{number:04d}", np.ascontiguousarray(image.transpose(2, 1, 0)), depth.T


def _from_folder(
    packages: Mapping[str, Path], part: str, count: int, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    split = SPLITS[part][0]
    images = [p for p in pictures.files(packages) if p.name.startswith("rgb_") and split in p.parts]
    for path in pictures.choose(images, rng, {part: count}, f"NYU Depth V2, {split}")[part]:
        name = path.stem.removeprefix("rgb_")
        with Image.open(path.with_name(f"sync_depth_{name}.png")) as picture:
            depth = np.asarray(picture).astype(np.float32) / 1000
        yield f"{split}-{path.parent.name}-{name}", np.asarray(pictures.read(path)), depth
