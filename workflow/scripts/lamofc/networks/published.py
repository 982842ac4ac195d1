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
from lamofc.networks import files
from lamofc.networks.files import lambda_name

ENDINGS = (".pth", ".pth.tar", ".pt", ".tar", ".safetensors")
_LAYERS = ("matrices.{}", "_matrices.{}", "_matrix{}"), ("biases.{}", "_biases.{}", "_bias{}"), (
    "factors.{}", "_factors.{}", "_factor{}",
)  # fmt: skip
_MADE = re.compile(r"entropy_bottleneck\.|gaussian_conditional\.|\.mask$|_reparam\.|lower_bound")


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
    wanted, means_first = _template(state, sizes)
    weights = {k: v for k, v in state.items() if not _MADE.search(k)}
    _same(weights, wanted)
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


def _template(
    state: Mapping[str, np.ndarray], sizes: tuple[int, int] | None
) -> tuple[dict[str, tuple[int, ...]], bool]:
    """Names and shapes of the class that a state dict is of, and whether that class predicts means before scales."""
    from compressai.models import ScaleHyperprior, sensetime
    from compressai.models.utils import conv, deconv

    try:
        hyper = "latent_codec.hyper." if "latent_codec.hyper.h_a.0.weight" in state else ""
        n, m = sizes or state[f"{hyper}h_a.0.weight"].shape[:2]
    except KeyError as error:
        raise ConvertError(f"no {error.args[0]} in it: a state dict of CompressAI's classes is wanted") from error
    groups = [len(state[k]) // 2 for k in sorted(state) if re.search(r"\.y\d\.context_prediction\.bias$", k)]
    simple = False
    if not hyper:
        model, last = ScaleHyperprior(n, m), 6
    else:
        if sum(groups) != m:
            raise ConvertError(f"groups of {groups} channels are not {m} latents")
        simple = len(state.get(f"{hyper}h_s.4.bias", ())) != 2 * n
        model, last = (sensetime.Elic2022Chandelier if simple else sensetime.Elic2022Official)(n, m, groups), 14
    model.g_a[0], model.g_s[last] = conv(1, n), deconv(n, 1)
    named = {k: tuple(p.shape) for k, p in model.named_parameters()}
    return {k: shape for k, shape in named.items() if not _MADE.search(k)}, simple


def _same(weights: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]) -> None:
    for name in sorted(wanted.keys() | weights.keys()):
        have = weights[name].shape if name in weights else "nothing"
        if have != wanted.get(name, "nothing"):
            raise ConvertError(f"{name} has {have} where CompressAI's class has {wanted.get(name, 'nothing')}")


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
