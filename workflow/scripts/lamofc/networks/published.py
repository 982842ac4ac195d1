"""Published weights: checkpoints of CompressAI's classes with one channel, one file per lambda -> a network file.

Every name and shape is compared with CompressAI's own class of that size; weights stay in float32, and frequency
tables are made anew from the checkpoint's entropy models, so that streams decode with this project alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.convert import ConvertError
from lamofc.convert.pth_reader import read_pth
from lamofc.errors import FetchError
from lamofc.networks import files, structure
from lamofc.networks.files import lambda_name

ENDINGS = (".pth", ".pth.tar", ".pt", ".tar", ".safetensors")
_LAYERS = ("matrices.{}", "_matrices.{}", "_matrix{}"), ("biases.{}", "_biases.{}", "_bias{}"), (
    "factors.{}", "_factors.{}", "_factor{}",
)  # fmt: skip


def gather(name: str, entry: Mapping[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """Arrays of a network file from the checkpoints of a row of config/networks.yaml below `folder`.

    The file of a lambda is the one whose path has that number in it, after the word lambda if it has that.
    FetchError when it is none or not one alone, ConvertError for a checkpoint that is damaged or of another structure
    than the row's.
    """
    out: dict[str, np.ndarray] = {}
    for lmbda in entry["lambdas"]:
        path = file_of(name, lmbda, Path(folder))
        state = files.read(path) if path.suffix == ".safetensors" else read_pth(path)
        try:
            out |= arrays_of(state, lmbda, (entry["n"], entry["m"]))
        except ConvertError as error:
            raise ConvertError(f"network {name}: {path}: {error}") from error
    return out


def file_of(name: str, lmbda: float, folder: Path) -> Path:
    """The checkpoint of a lambda: the only file below `folder` with that number in its path."""
    found = sorted(p for p in folder.rglob("*") if p.name.endswith(ENDINGS))
    mine = [p for p in found if lmbda in _numbers(p.relative_to(folder).as_posix())]
    if len(mine) != 1:
        have = ", ".join(p.relative_to(folder).as_posix() for p in (mine or found)) or "no checkpoint"
        raise FetchError(
            f"network {name}: one file with {lambda_name(lmbda)} in its path is wanted in {folder}, which has {have}; "
            "keep one per lambda there, or name a network that the workflow trains"
        )
    return mine[0]


def _numbers(text: str) -> set[float]:
    """Numbers after the word lambda, or all where it has none: names hold learning rates and sizes beside it."""
    found = re.findall(r"lambda[_-]?(\d+\.\d+|\d+)", text) or re.findall(r"\d+\.\d+|\d+", text)
    return {float(n) for n in found}


def arrays_of(
    state: Mapping[str, np.ndarray], lmbda: float, sizes: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """A state dict of ScaleHyperprior, Elic2022Official or Elic2022Chandelier -> arrays of that lambda.

    ConvertError if names or shapes are not those of the class with these sizes (n, m), or with its own.
    """
    from compressai.entropy_models import EntropyBottleneck, GaussianConditional
    from compressai.models.base import get_scale_table

    from lamofc.networks.gained import tables

    state = {k.removeprefix("module."): np.asarray(v) for k, v in state.items()}
    weights, means_first = structure.checked(state, sizes)
    conditional = GaussianConditional(None)
    conditional.update_scale_table(get_scale_table(), force=True)
    bottleneck = _bottleneck(state, EntropyBottleneck)
    arrays = {k: v.astype(np.float32) for k, v in weights.items()}
    for name in [k for k in arrays if k.endswith(".context_prediction.weight")]:
        arrays[name] *= _checkerboard(arrays[name].shape[-1])
    arrays |= {"scale_table": conditional.scale_table.numpy(), **tables("y", conditional), **tables("z", bottleneck)}
    arrays["medians"] = bottleneck.quantiles[:, 0, 1].detach().numpy().copy()
    arrays["means_first"] = np.array([means_first], np.uint8)
    return {f"{lambda_name(lmbda)}/{k}": v for k, v in arrays.items()}


def _bottleneck(state: Mapping[str, np.ndarray], kind: type) -> Any:
    """The hyper-latents' entropy model of a state dict, whatever version of CompressAI named its parameters."""
    import torch

    own = {k.rpartition("entropy_bottleneck.")[2]: v for k, v in state.items() if "entropy_bottleneck." in k}
    model = kind(len(own.get("quantiles", ())))
    try:
        with torch.no_grad():
            model.quantiles.copy_(torch.from_numpy(own["quantiles"]))
            for lists, names in zip((model.matrices, model.biases, model.factors), _LAYERS, strict=True):
                for i, parameter in enumerate(lists):
                    found = next(own[n.format(i)] for n in names if n.format(i) in own)
                    parameter.copy_(torch.from_numpy(found))
    except (KeyError, StopIteration, RuntimeError) as error:
        raise ConvertError(f"its entropy bottleneck is not CompressAI's: {error!r}") from error
    model.update(force=True)
    return model


def _checkerboard(size: int) -> np.ndarray:
    """Taps that see the other half of a checkerboard."""
    at = np.arange(size)
    return ((at[:, None] + at) % 2 == 1).astype(np.float32)
