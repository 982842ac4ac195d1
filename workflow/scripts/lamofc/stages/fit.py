"""Calibration features -> decoder assets of one codec on one curve."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from lamofc import codecs
from lamofc.errors import ConfigError
from lamofc.store import FeatureReader
from lamofc.whole import whole_file


def fit(entry: Mapping[str, Any], calibration: Path, out: Path, sensitivity: Path | None = None) -> None:
    """Fit a codec (and its fallback) on a calibration store; write its assets as safetensors.

    `sensitivity`: what stages.sensitivity wrote for the curve, for codecs that use it.
    """
    reader = FeatureReader(calibration)
    arrays = codecs.fit(entry, reader.specs, reader, load_file(sensitivity) if sensitivity else None)
    with whole_file(out) as partial:
        save_file({k: np.ascontiguousarray(v) for k, v in sorted(arrays.items())}, partial)
    print(f"{len(arrays)} arrays, {Path(out).stat().st_size} bytes", flush=True)


def read_assets(files: Mapping[str, Path]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """{"assets": file, "network": file} -> arrays (the network's under the prefix `network/`) and sha256 by role."""
    arrays: dict[str, np.ndarray] = {}
    hashes: dict[str, str] = {}
    for role, path in files.items():
        if not Path(path).is_file():
            raise ConfigError(f"{path}: no such asset; rerun the workflow to make it")
        hashes[role] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        prefix = "" if role == "assets" else f"{role}/"
        arrays |= {prefix + name: array for name, array in load_file(path).items()}
    return arrays, hashes
