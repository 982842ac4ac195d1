"""Folders that appear under their name only when they are whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamofc.whole import partial_name


@contextmanager
def staged(out_dir: Path) -> Iterator[Path]:
    """Give a new folder beside `out_dir`; move it to that name if the block succeeds, else remove it.

    An `out_dir` that exists is replaced.
    """
    out_dir = Path(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    folder = partial_name(out_dir)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
        _readable(folder)
        if out_dir.exists():
            os.replace(out_dir, folder.with_suffix(".old"))
        os.replace(folder, out_dir)
    finally:
        for leftover in (folder, folder.with_suffix(".old")):
            shutil.rmtree(leftover, ignore_errors=True)


def _readable(folder: Path) -> None:
    """Temporary folders and some writers give the owner alone access; a shared machine wants more."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
