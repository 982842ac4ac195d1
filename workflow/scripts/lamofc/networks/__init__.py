"""Learned coders: networks that are trained by a rule on calibration features and shipped or kept as one file each.

A network file is a safetensors file with the weights of a whole lambda ladder: `shared/<parameter>` for what all
lambdas have in common and `<lambda>/<parameter>` for the rest. Coders see the same names behind `network/`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lamofc.networks.files import read, shipped, write

__all__ = ["install", "read", "shipped", "take", "train"]


def train(name: str, entry: Mapping[str, Any], stores: Sequence[Path], out: Path, log: Callable[[str], None] = print):
    """Train the ladder of a row of config/networks.yaml; see `lamofc.networks.training.train`."""
    from lamofc.networks import training

    return training.train(name, entry, stores, out, log)


def install(name: str, entry: Mapping[str, Any], root: Path, out: Path) -> None:
    """Copy the weights that ship for a row, and the record of their training, to `out`; FetchError if altered."""
    path = shipped(name, entry, root)
    for suffix in (".json", ".safetensors"):
        shutil.copyfile(path.with_suffix(suffix), Path(out).with_suffix(suffix))


def take(name: str, entry: Mapping[str, Any], folder: Path, out: Path) -> None:
    """Write published weights found in `folder` to `out`, with a record; see `lamofc.networks.published.gather`."""
    from lamofc.networks import published

    sha256 = write(out, published.gather(name, entry, folder))
    record = {"network": name, "settings": dict(entry), "sha256": sha256, "curve": []}
    Path(out).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
