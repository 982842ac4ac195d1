"""Ten classes of things, as cut-out photos and as drawings: one list of labels for sets that share one head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from lamofc.datasets.stamps import DRAWN, groups, split, stamps_in

T = TypeVar("T")

FOLDERS = {
    "mammal": "animals/mammals",
    "bird": "animals/birds",
    "insect": "animals/insects",
    "sea animal": "animals/fish",
    "fruit": "food/fruit",
    "vegetable": "food/vegetables",
    "flower": "plants/flowers",
    "vehicle": "vehicles",
    "coin": "symbols/money",
    "clothing": "clothes",
}
CLASSES = tuple(FOLDERS)
NOT_OF_CLASS = ("00_symbols",)  # signs of currencies


def photos_in(root: Path, folder: str) -> list[Path]:
    """Cut-out photos under a folder of stamps."""
    return [p for p in stamps_in(root, folder) if not set(p.parts) & {*DRAWN, *NOT_OF_CLASS}]


def divided(root: Path, share: float, limit: int, rng: np.random.Generator) -> dict[str, list[list[Path]]]:
    """Photos of each class by part; variants of one object on one side, `limit` per class on both together.

    Equal generators give equal parts: a head fitted on one set's calibration photos never saw another's test photos.
    """
    parts: dict[str, list[list[Path]]] = {"calibration": [], "test": []}
    for folder in FOLDERS.values():
        sides = split(groups(photos_in(root, folder)), share, rng)
        kept = round(limit * share), limit - round(limit * share)
        for part, side, n in zip(parts, sides, kept, strict=True):
            parts[part].append(side[:n])
    return parts


def alternate(lists: Sequence[Sequence[T]]) -> list[tuple[int, T]]:
    """One of each class in turn, so that a prefix is as balanced as can be."""
    longest = max(map(len, lists))
    return [(label, items[i]) for i in range(longest) for label, items in enumerate(lists) if i < len(items)]
