"""Files that appear under their name only when they are whole, and no litter after a process was killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; it becomes `path` when the block ends well, else it is removed."""
    partial = partial_name(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_name(path: Path) -> Path:
    """A name beside `path` that is this process's own; what dead processes left under such names is removed."""
    path = Path(path)
    for old in path.parent.glob(f".{path.name}.*.partial"):
        if not _alive(old.name.removesuffix(".partial").rsplit(".", 1)[-1]):
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def note(path: Path, folder: Path) -> None:
    """Write beside `path` how many files `folder`, about to get that name, holds.

    Snakemake removes folders file by file: decoded features when they are used up, outputs that it will make anew. What
    is left of one when it is killed meanwhile has a new time, and would pass for an output.
    """
    _noted(path).write_text(f"{_files(folder)}\n")


def sweep(results: Path) -> None:
    """Remove what is left of folders that were being removed, and notes without a folder. No run may be alive there.

    Decoded features were being removed because nobody needs them any more. Others were to be made anew: an empty
    folder older than everything stays, since Snakemake does not miss an intermediate output that is not there.
    """
    for kind in ("features", "bitstreams", "decoded"):
        for noted in (results / kind).rglob(".*.whole"):
            path = noted.with_name(noted.name[1:].removesuffix(".whole"))
            text = noted.read_text().strip()
            if path.is_dir() and text.isdecimal() and _files(path) < int(text):
                shutil.rmtree(path)
                if kind != "decoded":
                    path.mkdir()
                    os.utime(path, (1, 1))
            if not path.is_dir():
                noted.unlink()


def _noted(path: Path) -> Path:
    return path.with_name(f".{path.name}.whole")


def _files(folder: Path) -> int:
    """Files at any depth, but Snakemake's own marks."""
    return sum(p.is_file() and not p.name.startswith(".snakemake") for p in folder.rglob("*"))


def _alive(pid: str) -> bool:
    """Whether a process has that number; it may be another machine's, then this errs on either side harmlessly:
    Snakemake gives one output to one job at a time."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
