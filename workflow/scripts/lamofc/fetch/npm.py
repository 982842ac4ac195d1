"""Packages by `npm pack`, which downloads and runs nothing."""

from __future__ import annotations

from pathlib import Path

from lamofc.fetch.archive import Archive
from lamofc.fetch.client import require, run


def download(archive: Archive, folder: Path, work: Path) -> None:
    """Put the .tgz into `folder`."""
    npm = require("npm", archive.hand_over)
    wanted = f"{archive.package}@{archive.version}"
    command = [npm, "pack", wanted, "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    run(command, folder, f"npm pack of {wanted}", archive.hand_over)
