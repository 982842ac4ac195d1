"""A model that this project trained: its folder is already what `transformers` loads."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from lamofc.fetch.unpacked import find_one

OPTIONS: tuple[str, ...] = ()


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """Copy the files beside config.json; the weights stay float16, as they ship."""
    for path in sorted(find_one(packages, "config.json").parent.iterdir()):
        shutil.copyfile(path, folder / path.name)
