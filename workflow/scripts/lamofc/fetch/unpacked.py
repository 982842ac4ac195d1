"""Finding files inside the folders of unpacked packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lamofc.errors import FetchError


def find_all(packages: Mapping[str, Path], pattern: str) -> list[Path]:
    """Files matching the glob `pattern` at any depth of any package, ordered by path inside it.

    FetchError when there is none.
    """
    found = [(p.relative_to(folder).as_posix(), p) for folder in packages.values() for p in Path(folder).rglob(pattern)]
    if not found:
        folders = ", ".join(f"{name} ({folder})" for name, folder in packages.items())
        raise FetchError(f"no file {pattern} in {folders}; fetch the package again or correct its `keep` patterns")
    return [path for _, path in sorted(found)]


def find_one(packages: Mapping[str, Path], pattern: str) -> Path:
    """The only file matching `pattern`; FetchError when there is none or several."""
    found = find_all(packages, pattern)
    if len(found) > 1:
        raise FetchError(f"{len(found)} files match {pattern}, one is wanted: {', '.join(map(str, found))}")
    return found[0]
