"""typeseg's Mamba tagger out of its npz file: flax names and (in, out) kernels to this project's module."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from lamofc.convert import ConvertError
from lamofc.fetch.unpacked import find_one

OPTIONS: tuple[str, ...] = ()

_TOP = {"Embed_0": "embed", "LayerNorm_0": "norm", "Dense_0": "head"}
_IN_BLOCK = {
    "LayerNorm_0": "norm",
    "Dense_0": "in_proj",
    "Conv_0": "conv",
    "Dense_1": "x_proj",
    "Dense_2": "dt_proj",
    "Dense_3": "out_proj",
}
_LEAF = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}
_BLOCK = "CheckpointMambaBlock1D_"


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """Write config.json (sizes, names of the labels) and model.safetensors."""
    from safetensors.numpy import save_file

    manifest = json.loads(find_one(packages, "manifest.json").read_text())
    path = find_one(packages, "mamba_al.npz")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            weights = dict(_weights({k: arrays[k] for k in arrays.files}))
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ConvertError(f"{path} is no npz file of plain arrays ({error}); fetch the package again") from None
    mamba = manifest["mamba"]
    sizes = {
        "width": weights["head.weight"].shape[1],
        "state": mamba["d_state"],
        "rank": mamba["dt_rank"],
        "kernel": mamba["d_conv"],
        "blocks": mamba["n_layers"],
        "labels": len(manifest["labels"]),
    }
    (folder / "config.json").write_text(json.dumps({"sizes": sizes, "labels": manifest["labels"]}, indent=1) + "\n")
    save_file({k: np.ascontiguousarray(weights[k], np.float32) for k in sorted(weights)}, folder / "model.safetensors")


def _weights(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, array in arrays.items():
        yield _rename(name), array.T if name.endswith("kernel") else array  # (in, out), (taps, 1, channels)


def _rename(name: str) -> str:
    first, _, rest = name.partition("__")
    module, _, leaf = rest.partition("__")
    prefix = f"blocks.{first.removeprefix(_BLOCK)}."
    if first in _TOP and rest in _LEAF:
        return f"{_TOP[first]}.{_LEAF[rest]}"
    if first.startswith(_BLOCK) and rest in ("A_log", "D"):
        return prefix + rest
    if first.startswith(_BLOCK) and module in _IN_BLOCK and leaf in _LEAF:
        return f"{prefix}{_IN_BLOCK[module]}.{_LEAF[leaf]}"
    raise ConvertError(f"npz file has an array {name!r} that the tagger does not have")
