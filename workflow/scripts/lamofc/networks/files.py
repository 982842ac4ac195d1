"""Network files: safetensors with every lambda's weights, checked against a sha256, readable without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.errors import ConfigError, FetchError
from lamofc.whole import whole_file

PREFIX = "network/"  # of a network's arrays among a stream's assets
SHARED = "shared"
SHIPPED = Path("networks")  # relative to the project root: weights that come with the project


def lambda_name(lmbda: float) -> str:
    """A lambda as written in array names: 0.01 -> "0.01"."""
    return f"{lmbda:g}"


def sha256(path: Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def shipped(name: str, entry: Mapping[str, Any], root: Path = Path()) -> Path:
    """Path of the weights that ship for a row of config/networks.yaml: `root`/networks/<name>.safetensors.

    FetchError when the file is missing or is not the one whose sha256 the row names.
    """
    path = Path(root) / SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        raise FetchError(f"network {name}: no {path}; restore the file, or drop its sha256 in the config to train it")
    if sha256(path) != entry["sha256"]:
        wanted = entry["sha256"]
        raise FetchError(f"network {name}: {path} has sha256 {sha256(path)}, config/networks.yaml says {wanted}")
    return path


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a network file, in the dtype they are stored in."""
    from safetensors.numpy import load_file

    return load_file(str(path))


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Write a network file, whole or not at all; -> its sha256. Equal arrays give equal bytes."""
    from safetensors.numpy import save_file

    path = Path(path)
    with whole_file(path) as partial:
        save_file({k: np.ascontiguousarray(arrays[k]) for k in sorted(arrays)}, str(partial))
        partial.chmod(0o644)
    return sha256(path)


def names_under(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """The lambdas that a network's arrays hold, largest first."""
    return sorted({k.split("/")[0] for k in arrays} - {SHARED}, key=float, reverse=True)


def of_lambda(arrays: Mapping[str, np.ndarray], lmbda: float, name: str) -> dict[str, np.ndarray]:
    """The arrays of one lambda under bare parameter names, `shared/` ones included; ConfigError if it has none."""
    own = lambda_name(lmbda)
    found = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{SHARED}/")}
    mine = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{own}/")}
    if not mine:
        have = ", ".join(names_under(arrays)) or "no network at all"
        raise ConfigError(f"network {name} has no lambda {own}: it has {have}; take one of its lambdas or train it")
    return found | mine


def shortened(arrays: Mapping[str, np.ndarray], coarse: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Weights as files keep them: float16, and int8 with a float16 `<name>.scale` per row of kernels whose name
    starts with one of `coarse` (hyper transforms: they only predict scales, which are rounded to a table anyway)."""
    out = {k: v.astype(np.float16) for k, v in arrays.items()}
    for name in [k for k in out if k.startswith(coarse) and out[k].ndim == 4]:
        kernel = out[name].astype(np.float32)
        scale = (np.abs(kernel).max((1, 2, 3), keepdims=True) / 127).astype(np.float16)
        out[f"{name}.scale"] = scale
        steps = kernel / np.maximum(scale.astype(np.float32), 1e-7)
        out[name] = np.clip(np.rint(steps), -127, 127).astype(np.int8)
    return out


def widened(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Float32 weights from what `shortened` made; integer tables stay as they are."""
    out = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    for name in [k.removesuffix(".scale") for k in out if k.endswith(".scale")]:
        out[name] = out[name] * out.pop(f"{name}.scale")
    return out
