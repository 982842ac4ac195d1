"""EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946; no squeeze-and-excitation, ReLU6) as a describer of images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from lamofc.errors import ConfigError

SIDE = 128  # pixels images are scaled to
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))  # blocks, stride of the first
_KEPT = (2, 4, 10)  # blocks whose maps are kept: 1/4, 1/8 and 1/16 of the side
_EPSILON = 1e-3
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def folded(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The package's weights -> `<layer>.weight`, `<layer>.bias` of convolutions with their normalisations in them."""
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for number in range(sum(count for count, _ in STAGES)):
        block = f"_blocks.{number}."
        for name, norm in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
            if f"{block}_{name}_conv.weight" in weights:
                pairs[f"{number}.{name}"] = (f"{block}_{name}_conv", block + norm)
    made = {}
    for layer, (convolution, norm) in pairs.items():
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
        made[f"{layer}.weight"] = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        made[f"{layer}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in made.items()}


@lru_cache(maxsize=2)
def load(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    if not (folder / "model.safetensors").is_file():
        raise ConfigError(f"{folder}: no EfficientNet-Lite0 there; make the model's folder again")
    return load_file(folder / "model.safetensors")


@torch.inference_mode()
def describe(weights: Mapping[str, torch.Tensor], image: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """uint8 (height, width, 3) -> features (1280,) and maps (positions, channels), of length 1 at each position."""
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    x = functional.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
    x = (x - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_STD)[:, None, None]
    x = _layer(weights, "stem", x, 2).clamp_(0, 6)
    maps, number = [], 0
    for count, stride in STAGES:
        for place in range(count):
            x = _block(weights, number, x, stride if place == 0 else 1)
            if number in _KEPT:
                maps.append(functional.normalize(x[0].flatten(1), dim=0).T.numpy().copy())
            number += 1
    return _layer(weights, "head", x).clamp_(0, 6).mean((2, 3))[0].numpy().copy(), maps


def _block(weights: Mapping[str, torch.Tensor], number: int, x: torch.Tensor, stride: int) -> torch.Tensor:
    y = x
    if f"{number}.expand.weight" in weights:
        y = _layer(weights, f"{number}.expand", y).clamp_(0, 6)
    y = _layer(weights, f"{number}.depthwise", y, stride).clamp_(0, 6)
    y = _layer(weights, f"{number}.project", y)
    return x + y if y.shape == x.shape and number else y


def _layer(weights: Mapping[str, torch.Tensor], name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Padded so that the side is divided by the stride, the odd row last, as in TensorFlow."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    size, side = weight.shape[-1], x.shape[-1]
    pad = max((-(-side // stride) - 1) * stride + size - side, 0)
    x = functional.pad(x, (pad // 2, pad - pad // 2) * 2) if pad else x
    return functional.conv2d(x, weight, bias, stride, groups=len(weight) if weight.shape[1] == 1 else 1)
