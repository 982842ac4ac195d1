"""What stands at the end of a vision tail: normed token maps -> outputs a task scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from lamofc.errors import ConfigError
from lamofc.models.mask_decoder import MaskDecoder


def build(name: str, weights: Path, fitted: Path | None, maps: int, channels: int) -> nn.Module:
    """The readout of that name. probe and linear-mask are fitted by rule, mask-decoder came with the model.

    `fitted` None leaves the fitted ones without weights (they are being fitted).
    """
    if name not in ("probe", "mask-decoder", "linear-mask"):
        raise ConfigError(f"readout {name!r} is none of probe, mask-decoder, linear-mask")
    if name == "mask-decoder":
        module: nn.Module = Decoder(Path(weights))
    elif name == "probe":
        module = Probe(2 * maps * channels)
    else:
        module = LinearMask(maps * channels)
    if fitted is not None and name != "mask-decoder":
        module.load(load_file(fitted))
    return module.eval()


class Probe(nn.Module):
    """Linear classifier on CLS and mean patch token of each map, l2-normed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.linear = width, None

    def load(self, arrays: dict[str, torch.Tensor]) -> None:
        self.linear = nn.Linear(self.width, len(arrays["bias"]))
        self.linear.load_state_dict({k: arrays[k] for k in ("weight", "bias")})

    @staticmethod
    def inputs(maps: list[torch.Tensor]) -> torch.Tensor:  # -> (batch, width)
        parts = [p for m in maps for p in (m[:, 0], m[:, 1:].mean(1))]
        return nn.functional.normalize(torch.cat(parts, 1), dim=1)

    def forward(self, maps: list[torch.Tensor], size: tuple[int, int]) -> list[dict[str, Any]]:
        logits = self.linear(self.inputs(maps))
        return [{"label": int(row.argmax()), "logits": row.cpu().numpy().astype(np.float32)} for row in logits]


class Decoder(nn.Module):
    """The model's own convolutional mask decoder on the last map."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.decoder = MaskDecoder(**json.loads((weights / "decoder.json").read_text()))
        self.decoder.load_state_dict(load_file(weights / "decoder.safetensors"))

    def forward(self, maps: list[torch.Tensor], size: tuple[int, int]) -> list[np.ndarray]:
        return [m > 0.5 for m in self.decoder(_to_grid(maps[-1]), size)[:, 0].cpu().numpy()]


class LinearMask(nn.Module):
    """One linear unit per patch over all maps, upsampled: the linear head of multi-level segmentation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.linear = width, None

    def load(self, arrays: dict[str, torch.Tensor]) -> None:
        self.linear = nn.Linear(self.width, 1)
        self.linear.load_state_dict({k: arrays[k] for k in ("weight", "bias")})

    def forward(self, maps: list[torch.Tensor], size: tuple[int, int]) -> list[np.ndarray]:
        logits = self.linear(torch.cat(maps, -1))  # (batch, tokens, 1)
        full = nn.functional.interpolate(_to_grid(logits), size, mode="bilinear", align_corners=False)
        return [m > 0 for m in full[:, 0].cpu().numpy()]


def _to_grid(tokens: torch.Tensor) -> torch.Tensor:
    """(batch, 1 + side * side, channels) -> (batch, channels, side, side), prefix token dropped."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side)).contiguous()
