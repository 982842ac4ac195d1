"""One way to run DINOv2 and DINOv3 trunks block by block, whatever their classes call the parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.models.dinov2.modeling_dinov2 import Dinov2Model
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTModel

from lamofc.errors import ConfigError
from lamofc.models import placing

CLASSES = {"dinov2": Dinov2Model, "dinov3_vit": DINOv3ViTModel}


class Trunk:
    """net: the library's model. prefix: tokens before the patches (class token and registers)."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.config = net, net.config
        self.rotary = hasattr(net, "rope_embeddings")
        self.blocks = net.model.layer if self.rotary else net.encoder.layer
        self.norm = net.norm if self.rotary else net.layernorm
        self.prefix = 1 + getattr(self.config, "num_register_tokens", 0)
        self.patch, self.width = self.config.patch_size, self.config.hidden_size

    @classmethod
    def load(cls, weights: Path, dtype: str, device: str, device_map: Any = None) -> Trunk:
        """ConfigError unless the folder's config.json is that of a DINOv2 or DINOv3 vision transformer."""
        kind = json.loads((Path(weights) / "config.json").read_text()).get("model_type")
        if kind not in CLASSES:
            raise ConfigError(f"{weights}/config.json: model_type {kind!r} is none of {', '.join(CLASSES)}")
        return cls(placing.load(CLASSES[kind], weights, dtype, device, device_map))

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        """(views, 3, height, width) -> tokens before block 0 (views, tokens, width)."""
        return self.net.embeddings(pixels)

    def run(self, hidden: torch.Tensor, first: int, end: int, size: tuple[int, int]):
        """Yield (block, tokens after it) for blocks first..end-1; `size` is that of the views in pixels."""
        options = {"position_embeddings": self._rotations(hidden, size)} if self.rotary else {}
        for number in range(first, end):
            hidden = self.blocks[number](hidden, **options)
            yield number, hidden

    def whole(self, pixels: torch.Tensor, blocks: list[int]) -> list[torch.Tensor]:
        """The library's own forward pass: raw tokens after `blocks`, or the normed last ones for a single block."""
        out = self.net(pixel_values=pixels, output_hidden_states=len(blocks) > 1)
        if len(blocks) == 1:
            return [out.last_hidden_state]
        return [out.hidden_states[b + 1] for b in blocks]

    def _rotations(self, hidden: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        # The class reads nothing of its argument but shape, dtype and device.
        return self.net.rope_embeddings(torch.empty(1, 3, *size, dtype=hidden.dtype, device=hidden.device))
