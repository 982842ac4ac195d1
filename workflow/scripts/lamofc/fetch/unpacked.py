"""Finding the files of a model inside the folders of unpacked packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lamofc.errors import LamofcError


class ConvertError(LamofcError):
    """A model file is missing, damaged, or not laid out as its family says."""


def find_all(packages: Mapping[str, Path], pattern: str) -> list[Path]:
    """Files matching `pattern` in any package, ordered by file name; at least one or ConvertError."""
    found = sorted((p for folder in packages.values() for p in folder.rglob(pattern)), key=lambda p: (p.name, str(p)))
    if not found:
        folders = ", ".join(f"{name} ({folder})" for name, folder in packages.items())
        raise ConvertError(f"no file {pattern} in {folders}; fetch the package again or correct its `keep` patterns")
    return found


def find_one(packages: Mapping[str, Path], pattern: str) -> Path:
    """The only file matching `pattern`; none or several is a ConvertError."""
    found = find_all(packages, pattern)
    if len(found) > 1:
        raise ConvertError(f"{len(found)} files match {pattern}, one is wanted: {', '.join(map(str, found))}")
    return found[0]
