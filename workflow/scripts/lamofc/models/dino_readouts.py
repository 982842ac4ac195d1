"""What stands at the end of the paper's vision tails: the published heads of DINOv2 and DINOv3.

A head's weights are `<readout>.safetensors` in the model's folder, its sizes `<readout>.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from lamofc.errors import ConfigError
from lamofc.interfaces import TensorSpec
from lamofc.models import spatial_adapter, views
from lamofc.models.dino_trunk import Trunk
from lamofc.models.dpt_head import DptHead
from lamofc.models.mask2former_head import Mask2FormerHead

PRIORS = ("sent", "none")
FAINTEST = 1e-6  # weight of a class, below which its logarithm is not followed


def build(name: str, weights: Path, trunk: Trunk, image_size: int, prior: str) -> nn.Module:
    """The readout of that name; without its weights only on the meta device. ConfigError if name or files are wrong."""
    if name not in CLASSES:
        raise ConfigError(f"readout {name!r} is none of {', '.join(CLASSES)}")
    if prior not in PRIORS:
        raise ConfigError(f"prior {prior!r} is none of {', '.join(PRIORS)}")
    facts = weights / f"{name}.json"
    options = json.loads(facts.read_text()) if facts.is_file() else {}
    meta = trunk.norm.weight.device.type == "meta"
    with torch.device("meta" if meta else "cpu"):
        module = CLASSES[name](trunk, image_size, prior, **options)
    if not meta:
        _load(module, weights / f"{name}.safetensors")
    return module.eval()


def _load(module: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"{path}: no such readout weights; fetch the package of heads and prepare the model again")
    try:
        module.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ConfigError(f"{path}: these weights do not fit the readout: {error}") from None


class Readout(nn.Module):
    """views: what the trunk looks at. fixed_views: views per sample, or None where the image's size decides.

    `scores` takes what `forward` takes and gives what its output is decided from, with gradients.
    """

    fixed_views: int | None = 1

    def prior(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the readout reads of the pixels, (views, tokens, channels) each: sent as features."""
        return {}

    def prior_specs(self, dtype: str) -> list[TensorSpec]:
        return []


class LinearHead(Readout):
    """Class token and mean patch token -> logits of ImageNet's 1000 classes."""

    def __init__(self, trunk: Trunk, image_size: int, prior: str, classes: int = 1000) -> None:
        super().__init__()
        self.prefix, self.linear = trunk.prefix, nn.Linear(2 * trunk.width, classes)
        self.views = views.Whole(image_size)

    def scores(self, maps: Sequence[torch.Tensor], prior: Any, grid: Any, size: Any) -> torch.Tensor:  # -> (classes,)
        tokens = maps[-1]
        pooled = torch.cat([tokens[:, 0], tokens[:, self.prefix :].mean(1)], 1)
        return self.linear(pooled)[0].float()

    def forward(self, maps: Sequence[torch.Tensor], prior: Sequence[torch.Tensor], grid: Any, size: Any) -> dict:
        logits = self.scores(maps, prior, grid, size)
        return {"label": int(logits.argmax()), "logits": logits.cpu().numpy()}


class Dpt(Readout):
    """Image and mirror image -> depth in metres, float32 (height, width)."""

    fixed_views = 2

    def __init__(self, trunk: Trunk, image_size: int, prior: str, size: Sequence[int] = (768, 1024), **options: Any):
        super().__init__()
        self.prefix, self.views = trunk.prefix, views.Mirrored(tuple(size))
        self.head = DptHead(trunk.width, **options)

    def scores(self, maps: Sequence[torch.Tensor], prior: Any, grid: tuple[int, int], size: Sequence[int]):
        depth = self.head([to_map(m[:, self.prefix :], grid) for m in maps])
        return self.views.join(depth, size)[0].float()

    def forward(self, maps: Sequence[torch.Tensor], prior: Any, grid: tuple[int, int], size: Sequence[int]):
        return self.scores(maps, prior, grid, size).cpu().numpy()


class Mask2Former(Readout):
    """Sliding windows -> class of every pixel, uint8 (height, width).

    With `prior: sent` the head sends the adapter's spatial prior too; with `none` the tail runs without it.
    """

    fixed_views = None

    def __init__(
        self, trunk: Trunk, image_size: int, prior: str, side: int = 896, stride: int = 596, short: int = 896,
        inner: int = 64, adapter_heads: int = 16, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.prefix, self.views, self.sent = trunk.prefix, views.Windows(side, stride, short), prior == "sent"
        self.inner, self.spatial_prior = inner, spatial_adapter.SpatialPrior(inner)
        self.adapter = spatial_adapter.SpatialAdapter(trunk.width, adapter_heads, inner)
        self.head = Mask2FormerHead(trunk.width, **options)

    def prior(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        if not self.sent:
            return {}
        return {f"prior{i + 1}": m for i, m in enumerate(self.spatial_prior(pixels))}

    def prior_specs(self, dtype: str) -> list[TensorSpec]:
        if not self.sent:
            return []
        channels = spatial_adapter.prior_channels(self.inner)
        return [TensorSpec(f"prior{i + 1}", "tokens", dtype, (None, c)) for i, c in enumerate(channels)]

    def weights(self, maps: Sequence[torch.Tensor], prior: Sequence[torch.Tensor], grid: Any, size: Sequence[int]):
        levels = self.adapter([m[:, self.prefix :] for m in maps], prior, grid)
        return self.views.join(self.head(levels, self.views.size), size)  # (classes, height, width), none negative

    def scores(self, maps: Sequence[torch.Tensor], prior: Sequence[torch.Tensor], grid: Any, size: Sequence[int]):
        return self.weights(maps, prior, grid, size).clamp_min(FAINTEST).log().movedim(0, -1)

    def forward(self, maps: Sequence[torch.Tensor], prior: Sequence[torch.Tensor], grid: Any, size: Sequence[int]):
        return self.weights(maps, prior, grid, size).argmax(0).to(torch.uint8).cpu().numpy()


def to_map(tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """(views, rows x columns, channels) -> (views, channels, rows, columns)."""
    return tokens.transpose(1, 2).unflatten(2, grid).contiguous()


CLASSES = {"linear-head": LinearHead, "mask2former": Mask2Former, "dpt": Dpt}
