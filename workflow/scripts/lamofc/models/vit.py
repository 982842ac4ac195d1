"""Vision transformers of the DINOv2 family, cut after one block or after several blocks jointly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.models.dinov2.modeling_dinov2 import Dinov2Model

from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models import readouts
from lamofc.models.torch_arrays import map_batches, to_numpy, to_torch, torch_dtype

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Model:
    """Head: patch embedding and blocks 0..b. Tail: the remaining blocks, final norm, readout.

    split: "block8" (tokens after block 8 cross) or "blocks2-5-8-11" (four token maps cross and the tail is
    the final norm and a readout over all of them). Blocks count from 0, as in the paper.
    Features: `block<b>` (prefix + rows x columns, channels). Side: image height and width.
    """

    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str,
        readout_weights: Path | None = None,
        dtype: str = "float32",
        batch: int = 8,
        image_size: int = 224,
    ) -> None:
        self.net = Dinov2Model.from_pretrained(weights, dtype=torch_dtype(dtype), local_files_only=True).eval()
        config = self.net.config
        self.blocks = parse_split(split, config.num_hidden_layers)
        self.batch, self.dtype = batch, dtype
        self.readout = readouts.build(readout, weights, readout_weights, len(self.blocks), config.hidden_size)
        side = image_size // config.patch_size
        shape = (1 + side * side, config.hidden_size)
        attributes = {"grid": [side, side], "prefix": 1}
        self.specs = [TensorSpec(f"block{b}", "tokens", dtype, shape, b, attributes) for b in self.blocks]

    def head(self, inputs: Sequence[dict[str, Any]]) -> list[Sample]:
        """inputs: {"image": uint8 (height, width, 3)}."""
        return map_batches(inputs, lambda i: i["image"].shape, self.batch, self._head)

    def tail(self, features: Sequence[Sample], side: Sequence[dict[str, Any]]) -> list[Any]:
        """side: {"size": [height, width]}. Outputs as the readout gives them."""
        pairs = list(zip(features, side, strict=True))
        return map_batches(pairs, lambda p: tuple(p[1]["size"]), self.batch, self._tail)

    def unsplit(self, inputs: Sequence[dict[str, Any]], side: Sequence[dict[str, Any]]) -> list[Any]:
        pairs = list(zip(inputs, side, strict=True))
        return map_batches(pairs, lambda p: p[0]["image"].shape, self.batch, self._unsplit)

    @torch.inference_mode()
    def _head(self, inputs: list[dict[str, Any]]) -> list[Sample]:
        hidden, found = self.net.embeddings(self._pixels(inputs)), {}
        for b, block in enumerate(self.net.encoder.layer[: max(self.blocks) + 1]):
            hidden = block(hidden)
            if b in self.blocks:
                found[f"block{b}"] = to_numpy(hidden)
        return [{name: array[i] for name, array in found.items()} for i in range(len(inputs))]

    @torch.inference_mode()
    def _tail(self, pairs: list[tuple[Sample, dict[str, Any]]]) -> list[Any]:
        maps = [to_torch(np.stack([f[s.name] for f, _ in pairs])) for s in self.specs]
        return self._read(self.finish(maps), pairs[0][1]["size"])

    def finish(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Received token maps (batch, tokens, channels) -> normed maps that the readout reads."""
        if len(maps) == 1:
            for block in self.net.encoder.layer[self.blocks[0] + 1 :]:
                maps = [block(maps[0])]
        return [self.net.layernorm(m) for m in maps]

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> what the readout reads (batch, tokens, maps x channels), with gradients."""
        return torch.cat(self.finish([received[s.name] for s in self.specs]), -1)

    @torch.inference_mode()
    def _unsplit(self, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Any]:
        maps = self.unsplit_maps([i for i, _ in pairs])
        return self._read(maps, pairs[0][1]["size"])

    def unsplit_maps(self, inputs: list[dict[str, Any]]) -> list[torch.Tensor]:
        """Normed token maps by the library's own forward pass: what the readout reads, never cut."""
        out = self.net(pixel_values=self._pixels(inputs), output_hidden_states=len(self.blocks) > 1)
        if len(self.blocks) == 1:
            return [out.last_hidden_state]
        return [self.net.layernorm(out.hidden_states[b + 1]) for b in self.blocks]

    def _read(self, maps: list[torch.Tensor], size: Sequence[int]) -> list[Any]:
        return self.readout([m.float() for m in maps], (int(size[0]), int(size[1])))

    def _pixels(self, inputs: list[dict[str, Any]]) -> torch.Tensor:
        pixels = to_torch(np.stack([i["image"] for i in inputs])).permute(0, 3, 1, 2) / 255.0
        mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
        return ((pixels - mean) / std).to(torch_dtype(self.dtype))


def parse_split(split: str, depth: int) -> list[int]:
    """ "block8" -> [8], "blocks2-5-8-11" -> [2, 5, 8, 11]; ConfigError if a block does not exist."""
    prefix = "blocks" if split.startswith("blocks") else "block"
    numbers = split.removeprefix(prefix).split("-")
    if not all(n.isdecimal() for n in numbers) or (prefix == "block") != (len(numbers) == 1):
        raise ConfigError(f"split {split!r}: write block<b> or blocks<a>-<b>-...")
    blocks = [int(n) for n in numbers]
    if blocks != sorted(set(blocks)) or blocks[-1] >= depth:
        raise ConfigError(f"split {split!r}: blocks must rise and be below the model's depth {depth}")
    return blocks
