"""What stands at the end of a vision tail: normed token maps -> outputs a task scores.

`scores` of a readout are what its outputs are decided from, with gradients; logits have the last axis.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from lamofc.errors import ConfigError
from lamofc.models.depth_head import DepthHead
from lamofc.models.mask_decoder import MaskDecoder
from lamofc.models.torch_arrays import to_torch


def build(name: str, weights: Path, fitted: Path | None, maps: int, channels: int, prefix: int = 1) -> nn.Module:
    """The readout of that name for `maps` token maps of a view, `prefix` tokens of each before the patches.

    mask-decoder came with the model, the others are fitted by rule; `fitted` None leaves them without weights.
    """
    if name not in KINDS:
        raise ConfigError(f"readout {name!r} is none of {', '.join(KINDS)}")
    if name == "mask-decoder":
        return Decoder(Path(weights), prefix).eval()
    module = KINDS[name](maps * channels, prefix)
    if fitted is not None:
        module.load(load_file(fitted))
    return module.eval()


class Readout(nn.Module):
    """Normed token maps (batch, tokens, channels), `prefix` tokens before the patches -> outputs."""

    mirrored: ClassVar[bool] = False
    prefix: int

    def noticed(self, maps: list[torch.Tensor]) -> torch.Tensor:  # -> (batch, values)
        """What sensitivities are taken of: all tokens alike."""
        return torch.cat(maps, -1).flatten(1)


class Linear(Readout):
    """A fitted linear map; `fit` in lamofc/stages/fit_readout.py reads `inputs` and `targets`."""

    binary: ClassVar[bool] = False

    def __init__(self, width: int, prefix: int) -> None:
        super().__init__()
        self.prefix, self.linear = prefix, None

    def load(self, arrays: dict[str, torch.Tensor]) -> None:
        rows, columns = arrays["weight"].shape
        self.linear = nn.Linear(columns, rows)
        self.linear.load_state_dict({k: arrays[k] for k in ("weight", "bias")})


class Probe(Linear):
    """Linear classifier on the class token and the channels' maxima over patches of each map, l2-normed.

    The paper's head takes the mean over patches; the maximum finds objects that fill few of them.
    """

    def inputs(self, maps: list[torch.Tensor]) -> torch.Tensor:  # -> (batch, 2 * maps * channels)
        parts = [p for m in maps for p in (m[:, 0], m[:, self.prefix :].amax(1))]
        return nn.functional.normalize(torch.cat(parts, 1), dim=1)

    def noticed(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """The class token as much as all patches together: each is half of what is read. Which patch is the largest
        changes with small errors, so all of them count alike."""
        patches = [m[:, self.prefix :] for m in maps]
        lifted = [m[:, 0] * p.shape[1] ** 0.5 for m, p in zip(maps, patches, strict=True)]
        return torch.cat([x.flatten(1) for x in (*lifted, *patches)], 1)

    def targets(self, truths: list[int], patches: int) -> torch.Tensor:
        return torch.tensor(truths)

    def scores(self, maps: list[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:  # -> (batch, classes)
        return self.linear(self.inputs(maps))

    def forward(self, maps: list[torch.Tensor], size: tuple[int, int]) -> list[dict[str, Any]]:
        logits = self.scores(maps, size)
        return [{"label": int(row.argmax()), "logits": row.cpu().numpy().astype(np.float32)} for row in logits]


class LinearMask(Linear):
    """One linear unit per patch over all maps, upsampled: the linear head of multi-level segmentation."""

    binary: ClassVar[bool] = True

    def inputs(self, maps: list[torch.Tensor]) -> torch.Tensor:  # -> (batch * patches, maps * channels)
        return torch.cat([m[:, self.prefix :] for m in maps], -1).flatten(0, 1)

    def targets(self, truths: list[np.ndarray], patches: int) -> torch.Tensor:
        """Share of each patch that is object (batch * patches,)."""
        masks = to_torch(np.stack(truths)).float()[:, None]
        return nn.functional.adaptive_avg_pool2d(masks, int(patches**0.5)).flatten()

    def logits(self, maps: list[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:  # -> (batch, 1, *size)
        patches = self.linear(torch.cat(maps, -1))  # (batch, tokens, 1)
        return nn.functional.interpolate(to_grid(patches, self.prefix), size, mode="bilinear", align_corners=False)

    def scores(self, maps: list[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        return against_ground(self.logits(maps, size))

    def forward(self, maps: list[torch.Tensor], size: tuple[int, int]) -> list[np.ndarray]:
        return [m > 0 for m in self.logits(maps, size)[:, 0].cpu().numpy()]


class Decoder(Readout):
    """The model's own convolutional mask decoder on the last map."""

    def __init__(self, weights: Path, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.decoder = MaskDecoder(**json.loads((weights / "decoder.json").read_text()))
        self.decoder.load_state_dict(load_file(weights / "decoder.safetensors"))
        self.decoder.to(memory_format=torch.channels_last)

    def scores(self, maps: list[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        return against_ground(self.decoder.logits(to_grid(maps[-1], self.prefix), size))

    def forward(self, maps: list[torch.Tensor], size: tuple[int, int]) -> list[np.ndarray]:
        return [m > 0.5 for m in self.decoder(to_grid(maps[-1], self.prefix), size)[:, 0].cpu().numpy()]


class Depth(Readout):
    """Depth in metres of every pixel: mean of what is read from the image and from its mirror image."""

    mirrored: ClassVar[bool] = True

    def __init__(self, width: int, prefix: int) -> None:
        super().__init__()
        self.prefix, self.head = prefix, DepthHead(width)

    def load(self, arrays: dict[str, torch.Tensor]) -> None:
        self.head.load_state_dict({k: v.float() for k, v in arrays.items()})

    def inputs(self, maps: list[torch.Tensor]) -> torch.Tensor:  # one view -> (batch, width, rows, columns)
        return to_grid(torch.cat(maps, -1), self.prefix)

    def scores(self, maps: list[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:  # -> (batch, *size), metres
        half = len(maps) // 2
        plain, mirror = self.head(self.inputs(maps[:half]), size), self.head(self.inputs(maps[half:]), size)
        return (plain + mirror.flip(2)) / 2

    def forward(self, maps: list[torch.Tensor], size: tuple[int, int]) -> list[np.ndarray]:
        return list(self.scores(maps, size).cpu().numpy())


KINDS = {"probe": Probe, "linear-mask": LinearMask, "mask-decoder": Decoder, "depth": Depth}


def against_ground(logits: torch.Tensor) -> torch.Tensor:
    """Logits of the object (batch, 1, height, width) -> of object and ground (batch, height, width, 2)."""
    return torch.stack([logits[:, 0], torch.zeros_like(logits[:, 0])], -1)


def to_grid(tokens: torch.Tensor, prefix: int) -> torch.Tensor:
    """(batch, prefix + side * side, channels) -> (batch, channels, side, side), prefix tokens dropped."""
    side = int((tokens.shape[1] - prefix) ** 0.5)
    return tokens[:, prefix:].transpose(1, 2).unflatten(2, (side, side)).contiguous()
