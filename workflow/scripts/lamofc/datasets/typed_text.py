"""Pieces of source files, each with the type that its file's name ending gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_all

DESCRIPTION = "Pieces of equal length out of example programs of SWIG and pages of a handbook: nine types"
LICENCE = "GPL-3.0-or-later AND (GPL-2.0-or-later OR CC-BY-SA-3.0)"
OPTIONS = {"calibration": 6, "test": 20, "bytes": 160}

# Name as typeseg's labels have it -> endings of files' names
TYPES = {
    "c_family": ("c", "cpp", "cxx", "h", "hpp"), "csharp": ("cs",), "go": ("go",), "html": ("html",), "java": ("java",),
    "javascript_typescript": ("js",), "php": ("php",), "python": ("py",), "ruby": ("rb",),
}  # fmt: skip


class Piece(NamedTuple):
    source: str  # what files that say the same in several languages have in common: the start of their names
    name: str
    text: str


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, calibration: int, test: int,
    bytes: int,
) -> None:  # fmt: skip
    """Fields: type, text. `calibration` and `test` pieces of each type, one a file, types in turn.

    Text is ASCII from the start of a line on; files whose names start alike are in one part.
    """
    found = {kind: _pieces(packages, endings, bytes, rng) for kind, endings in TYPES.items()}
    sources = sorted({p.source for pieces in found.values() for p in pieces})
    share = calibration / (calibration + test)
    calibrating = {s for s in sources if rng.random() < share}
    for part, count in zip(PARTS, (calibration, test), strict=True):
        for number in range(count):
            for kind, pieces in found.items():
                own = [p for p in pieces if (p.source in calibrating) == (part == PARTS[0])]
                if len(own) < count:
                    raise ConfigError(f"{len(own)} files of type {kind} for part {part}, {count} are wanted")
                piece = own[number]
                target.add(part, f"{kind}-{piece.name}", type=kind, text=piece.text)
    target.facts["chance"] = 1 / len(TYPES)


def _pieces(
    packages: Mapping[str, Path], endings: tuple[str, ...], length: int, rng: np.random.Generator
) -> list[Piece]:
    """A piece of each file that is long enough, files in random order, no two pieces equal."""
    paths = [p for ending in endings for p in find_all(packages, f"*.{ending}")]
    found: dict[str, Piece] = {}
    for path in (paths[i] for i in rng.permutation(len(paths))):
        text = path.read_bytes()
        starts = [0] + [i + 1 for i in range(len(text) - length) if text[i : i + 1] == b"\n"]
        start = starts[int(rng.integers(len(starts)))]
        piece = text[start : start + length]
        if len(piece) == length and piece.isascii() and len(piece.split()) > length // 16:
            name = "-".join(path.parts[-3:]).lower()
            found.setdefault(piece.decode(), Piece(_source(path), name, piece.decode()))
    return list(found.values())


def _source(path: Path) -> str:
    """What the example is about: its folder, or the start of the file's name in a folder of one language."""
    plain = path.stem.lower() in ("index", "example", "runme", "main", "test")
    return path.parent.name.lower() if plain else path.stem.split("_")[0].lower()
