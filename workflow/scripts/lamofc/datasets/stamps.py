"""Stamps of Tux Paint: PNG drawings and cut-out photos with alpha, sorted by what they show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = "usr/share/tuxpaint/stamps"
DRAWN = {"cartoon", "toys", "plastic"}  # folders of what is no photo of the thing itself
_COLOURS = {"red", "green", "blue", "yellow", "pink", "orange", "white", "black", "brown", "golden"}
_NOT_NAMES = _COLOURS | {
    "sign",
    "with",
    "and",
    "the",
    "new",
    "old",
    "flag",
    "little",
    "small",
    "cartoon",
    "symbols",
    "coins",
}


def stamps_in(root: Path, folder: str) -> list[Path]:
    """PNG files under a folder of stamps, without mirrored twins, in a fixed order."""
    found = (p for p in (root / folder).rglob("*.png") if not p.stem.endswith(("_mirror", "_mirror_flip", "_flip")))
    return sorted(found, key=lambda p: p.relative_to(root).as_posix())


def load(path: Path) -> Image.Image:
    """RGBA image with straight alpha."""
    with Image.open(path) as image:
        return image.convert("RGBA")


def over(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Centre an RGBA image on a square of one colour: RGB."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2), image)
    return square


def groups(paths: Sequence[Path]) -> list[list[Path]]:
    """Put variants of one object together, so that they never stand on both sides of a split.

    Two stamps belong together when their names share a word (`pig_golden`, `pig`), or a word of one holds a
    word of the other (`redlettuce`, `lettuce`); numbered coins and the like when they lie in one folder.
    """
    parent = list(range(len(paths)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    words = [_words(p) for p in paths]
    for i, j in combinations(range(len(paths)), 2):
        if _related(words[i], words[j]):
            parent[root(j)] = root(i)
    found: dict[int, list[Path]] = {}
    for i, path in enumerate(paths):
        found.setdefault(root(i), []).append(path)
    return list(found.values())


def _words(path: Path) -> set[str]:
    stem = path.stem if not re.match(r"\d", path.stem) else " ".join(path.parts[-3:-1])
    stem = re.sub(r"([a-z])([A-Z])", r"\1 \2", stem.removeprefix("t_"))
    words = {w for w in re.split(r"[^a-z]+", stem.lower()) if len(w) > 2}
    return words - _NOT_NAMES or words


def _related(a: Iterable[str], b: Iterable[str]) -> bool:
    return any(x == y or (min(len(x), len(y)) > 3 and (x in y or y in x)) for x in a for y in b)


def split(members: list[list[Path]], share: float, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
    """Deal whole groups to two sides so that the first gets about `share` of all stamps; large groups first."""
    order = [members[i] for i in rng.permutation(len(members))]
    total, sides = sum(map(len, members)), ([], [])
    for group in sorted(order, key=len, reverse=True):
        lacking = share * total - len(sides[0]), (1 - share) * total - len(sides[1])
        sides[int(lacking[1] > lacking[0])].extend(group)
    return tuple([side[i] for i in rng.permutation(len(side))] for side in sides)
