"""The network a learned codec is built on: shipped where a sha256 is pinned, published, or else trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lamofc import networks
from lamofc.provenance import ROOT


def train(
    name: str, entry: Mapping[str, Any], calibration: Sequence[Path], out: Path, package: Path | None = None
) -> None:
    """Write <out> (safetensors) and a record of where it is from beside it.

    Read are calibration features alone, or the fetched `package` of a row with published weights.
    """
    if "sha256" in entry:
        networks.install(name, entry, ROOT, out)
    elif "published" in entry:
        networks.take(name, entry, package / entry["published"]["folder"], out)
    else:
        networks.train(name, entry, calibration, out)
