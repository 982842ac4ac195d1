"""The text-to-image model that this project trained, with the network that describes its images for the Fréchet
distance."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors.numpy import save_file

from lamofc.convert.pth_reader import read_pth
from lamofc.fetch.unpacked import find_one

OPTIONS: tuple[str, ...] = ()
PARTS = ("pipeline", "controlnet", "judge")


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """Copy the trained parts as they ship, in float16, and fold EfficientNet-Lite0 into `features/`."""
    from lamofc import efficientnet

    trained = find_one(packages, "pipeline/model_index.json").parents[1]
    for part in PARTS:
        shutil.copytree(trained / part, folder / part)
    (folder / "features").mkdir()
    weights = efficientnet.folded(read_pth(find_one(packages, "efficientnet-lite0-*.pth")))
    save_file(weights, folder / "features" / "model.safetensors")
