"""The network a learned codec is built on: the shipped one where a sha256 is pinned, else trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lamofc import networks
from lamofc.provenance import ROOT


def train(name: str, entry: Mapping[str, Any], calibration: Sequence[Path], out: Path) -> None:
    """Write <out> (safetensors) and the record of its training beside it; calibration features alone are read."""
    if "sha256" in entry:
        networks.install(name, entry, ROOT, out)
    else:
        networks.train(name, entry, calibration, out)
