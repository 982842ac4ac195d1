"""ImageNet's validation images (Russakovsky et al. 2015), ImageNet-A and ImageNet-R (Hendrycks et al. 2021).

Read from folders named by WordNet id, or from the hub's Parquet files with bytes and labels. Calibration images come
from the same set and are never among its test images.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.datasets import pictures
from lamofc.datasets.folder import DatasetFolder
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_all

DESCRIPTION = "Photographs cut to a square; the label is one of ImageNet's 1000 classes"
LICENCE = "ImageNet terms of access; A and R: MIT"
OPTIONS = {"subset": "val", "size": 512, "test": 100, "calibration": 10}
SUBSETS = ("val", "a", "r")


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, subset: str, size: int,
    test: int, calibration: int,
) -> None:  # fmt: skip
    """Fields: image (PNG), label (0..999). Fact `classes`: those that a score chooses among."""
    if subset not in SUBSETS:
        raise ConfigError(f"subset {subset!r} is none of {', '.join(SUBSETS)}")
    names = synsets("imagenet")
    classes = range(1000) if subset == "val" else [names.index(n) for n in synsets(f"imagenet_{subset}")]
    found = list(_labelled(packages, {n: i for i, n in enumerate(names)}))
    parts = pictures.choose(found, rng, {"calibration": calibration, "test": test}, f"ImageNet {subset}")
    for part, chosen in parts.items():
        for number, (picture, label) in enumerate(chosen):
            name = f"{part}-{number:05d}"
            image = target.png(f"images/{name}.png", pictures.square(_open(picture), size))
            target.add(part, name, image=image, label=label)
    target.facts |= {"chance": 1 / len(classes), "classes": list(classes)}


def _labelled(packages: Mapping[str, Path], labels: Mapping[str, int]) -> Iterator[tuple[Any, int]]:
    """(file, label) of folders, or (row of a table, label)."""
    tables = [p for folder in packages.values() for p in sorted(Path(folder).rglob("*.parquet"))]
    for table in tables:
        import pyarrow.parquet as parquet

        column = parquet.read_table(table, columns=["label"])["label"].to_pylist()
        yield from ((pictures.Row(table, i), label) for i, label in enumerate(column))
    if not tables:
        for path in find_all(packages, "*.[jJ][pP]*[gG]"):
            if path.parent.name in labels:
                yield path, labels[path.parent.name]


def _open(picture: Any) -> Any:
    if not isinstance(picture, pictures.Row):
        return pictures.read(picture)
    import pyarrow.parquet as parquet

    start = 0
    file = parquet.ParquetFile(picture.path)
    for group in range(file.num_row_groups):  # one group at a time: a file of the hub holds thousands of images
        count = file.metadata.row_group(group).num_rows
        if picture.number < start + count:
            cell = file.read_row_group(group, columns=["image"])["image"][picture.number - start].as_py()
            return pictures.read(cell["bytes"])
        start += count
    raise ConfigError(f"{picture.path} has no row {picture.number}")


def synsets(name: str) -> list[str]:
    """WordNet ids in the order of labels, from the lists that timm ships."""
    origin = importlib.util.find_spec("timm").origin  # found, not imported: that would take seconds
    return (Path(origin).parent / "data" / "_info" / f"{name}_synsets.txt").read_text().split()
