"""Selections of photographs from folders or Parquet tables, cut to a square."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lamofc.errors import ConfigError

SUFFIXES = (".jpg", ".jpeg", ".png")


class Row(NamedTuple):
    """A row of a Parquet file: `number` in the file at `path`."""

    path: Path
    number: int


def files(packages: Mapping[str, Path]) -> list[Path]:
    """All pictures below the packages' folders, by path."""
    found = [p for folder in packages.values() for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES]
    return sorted(found)


def choose(found: Sequence[Any], rng: np.random.Generator, counts: Mapping[str, int], what: str) -> dict[str, list]:
    """Part -> a random selection, parts disjoint; ConfigError where there are too few."""
    wanted = sum(counts.values())
    if len(found) < wanted:
        raise ConfigError(f"{what}: {len(found)} samples found where {wanted} are asked for")
    order = [found[i] for i in rng.permutation(len(found))[:wanted]]
    parts, start = {}, 0
    for part, count in counts.items():
        parts[part], start = order[start : start + count], start + count
    return parts


def read(path: Path | bytes) -> Image.Image:
    with Image.open(io.BytesIO(path) if isinstance(path, bytes) else path) as picture:
        return picture.convert("RGB")


def square(picture: Image.Image, side: int) -> np.ndarray:
    """Shorter side to `side` (bicubic), centre cut out. uint8 (side, side, 3)"""
    scale = side / min(picture.size)
    size = [max(side, round(n * scale)) for n in picture.size]
    left, top = ((n - side) // 2 for n in size)
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + side, top + side)))
