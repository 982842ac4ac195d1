"""A small network that reads the colour and the shape of a drawing, trained by the project on real drawings."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lamofc.errors import ConfigError

READS = ("colour", "shape")
_WIDTHS = (16, 24, 32, 48)


class ShapeJudge(nn.Module):
    """uint8 images (n, height, width, 3) as float in [-1, 1], channels first -> logits by what is read."""

    def __init__(self, colours: int, shapes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *_WIDTHS), _WIDTHS, strict=False):
            layers += [nn.Conv2d(before, width, 3, 2, 1), nn.GroupNorm(4, width), nn.SiLU()]
            layers += [nn.Conv2d(width, width, 3, 1, 1), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({"colour": nn.Linear(2 * width, colours), "shape": nn.Linear(2 * width, shapes)})

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = self.body(pixels).flatten(2)
        pooled = torch.cat([maps.mean(2), maps.amax(2)], 1)
        return {name: head(pooled) for name, head in self.heads.items()}


def read(net: ShapeJudge, images: np.ndarray) -> dict[str, np.ndarray]:
    """uint8 (n, height, width, 3) -> class indices (n,) of colour and shape."""
    with torch.inference_mode():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        return {name: logits.argmax(1).numpy() for name, logits in net(pixels).items()}


@lru_cache(maxsize=2)
def load(folder: Path) -> ShapeJudge:
    """From config.json and model.safetensors; ConfigError where they are missing."""
    from safetensors.torch import load_file

    if not (folder / "model.safetensors").is_file():
        raise ConfigError(f"{folder}: no judge of shapes there; make the model's folder again")
    with torch.device("cpu"):
        net = ShapeJudge(**json.loads((folder / "config.json").read_text()))
    net.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return net.eval()
