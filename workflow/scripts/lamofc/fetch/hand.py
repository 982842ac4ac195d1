"""Files that their owner gives out on request only: taken from a folder that the user names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lamofc.errors import FetchError
from lamofc.fetch.pins import sha256

VARIABLE = "LAMOFC_WEIGHTS"


def given(name: str) -> Path | None:
    """$LAMOFC_WEIGHTS/<name>, where that is a folder."""
    folder = Path(os.environ.get(VARIABLE, "")) / name
    return folder if os.environ.get(VARIABLE) and folder.is_dir() else None


def take(name: str, row: Mapping[str, Any], folder: Path) -> None:
    """Link the wanted files of $LAMOFC_WEIGHTS/<name> into `folder`; FetchError says where they come from."""
    found = given(name)
    if found is None:
        raise FetchError(
            f"package {name} is given out by its owner only: accept the licence and get {', '.join(row['keep'])} at "
            f"{row['page']}, put it into <parent>/{name} and set {VARIABLE}=<parent>"
        )
    link(name, found, row["keep"], folder)
    for path in folder.rglob("*"):
        _check(name, path)


def link(name: str, source: Path, keep: list[str], folder: Path) -> None:
    """Links in `folder` to the files of `source` that match; FetchError for a pattern that no file matches."""
    files = {p.relative_to(source).as_posix(): p for p in sorted(source.rglob("*")) if p.is_file()}
    wanted = {n: p for n, p in files.items() if any(fnmatch(n, k) for k in keep)}
    named = [k for k in keep if not set("*?[") & set(k)]
    missing = [k for k in named if k not in wanted] if wanted else keep
    if missing:
        raise FetchError(f"package {name}: {source} holds no file that matches its `keep` pattern {missing[0]}")
    for inside, path in wanted.items():
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        (folder / inside).symlink_to(path.resolve())


def _check(name: str, path: Path) -> None:
    """Some owners put the first digits of the SHA-256 into the file's name."""
    digits = re.search(r"-([0-9a-f]{8})\.[a-z]+$", path.name)
    if digits and path.is_file() and not sha256(path).startswith(digits[1]):
        raise FetchError(f"package {name}: SHA-256 of {path.name} does not begin with {digits[1]}: get it again")
