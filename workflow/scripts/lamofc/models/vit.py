"""Vision transformers of the library (DINOv2, with registers or without, ViT), cut after one block or after several."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models import readouts
from lamofc.models.torch_arrays import map_batches, to_numpy, to_torch, torch_dtype

FAMILIES = ("dinov2", "dinov2_with_registers", "vit")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MIRROR = "-mirror"


class Model:
    """Head: patch embedding and blocks 0..b. Tail: the remaining blocks, final norm, readout.

    split: "block8" (tokens after block 8 cross) or "blocks2-5-8-11" (four token maps cross and the tail is
    the final norm and a readout over all of them). Blocks count from 0, as in the paper.
    Features: `block<b>` (prefix + rows x columns, channels); where the readout looks at the image and its mirror
    image, `block<b>-mirror` too. Side: image height and width.
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
        _check_family(weights)
        self.net = AutoModel.from_pretrained(weights, dtype=torch_dtype(dtype), local_files_only=True).eval()
        config = self.net.config
        self.layers = self.net.layers if hasattr(self.net, "layers") else self.net.encoder.layer
        self.blocks = parse_split(split, config.num_hidden_layers)
        self.batch, self.dtype, self.colours = batch, dtype, _colours(weights)
        side, prefix = image_size // config.patch_size, 1 + getattr(config, "num_register_tokens", 0)
        self.readout = readouts.build(readout, weights, readout_weights, len(self.blocks), config.hidden_size, prefix)
        self.views = ("", MIRROR) if self.readout.mirrored else ("",)
        shape, attributes = (prefix + side * side, config.hidden_size), {"grid": [side, side], "prefix": prefix}
        self.specs = [
            TensorSpec(f"block{b}{view}", "tokens", dtype, shape, b, attributes)
            for view in self.views
            for b in self.blocks
        ]

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
        found = {}
        for view, pixels in self._pixels(inputs):
            hidden = self.net.embeddings(pixels)
            for b, block in enumerate(self.layers[: max(self.blocks) + 1]):
                hidden = block(hidden)
                if b in self.blocks:
                    found[f"block{b}{view}"] = to_numpy(hidden)
        return [{name: array[i] for name, array in found.items()} for i in range(len(inputs))]

    @torch.inference_mode()
    def _tail(self, pairs: list[tuple[Sample, dict[str, Any]]]) -> list[Any]:
        maps = [to_torch(np.stack([f[s.name] for f, _ in pairs])) for s in self.specs]
        return self._read(self.finish(maps), pairs[0][1]["size"])

    def finish(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Received token maps (batch, tokens, channels) -> normed maps that the readout reads."""
        if len(self.blocks) == 1:
            for block in self.layers[self.blocks[0] + 1 :]:
                maps = [block(m) for m in maps]
        return [self.net.layernorm(m) for m in maps]

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> what the readout notices of them (batch, values), with gradients."""
        return self.readout.noticed(self.finish([received[s.name] for s in self.specs]))

    def scores(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> what the readout's outputs are decided from, with gradients."""
        maps = self.finish([received[s.name] for s in self.specs])
        return self.readout.scores([m.float() for m in maps], tuple(side[0]["size"]))

    @torch.inference_mode()
    def _unsplit(self, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Any]:
        maps = self.unsplit_maps([i for i, _ in pairs])
        return self._read(maps, pairs[0][1]["size"])

    def unsplit_maps(self, inputs: list[dict[str, Any]], mirrored: bool = True) -> list[torch.Tensor]:
        """Normed token maps by the library's own forward pass: what the readout reads, never cut.

        mirrored False leaves out the mirror image's.
        """
        found: list[torch.Tensor] = []
        for view, pixels in self._pixels(inputs):
            if view == MIRROR and not mirrored:
                continue
            out = self.net(pixel_values=pixels, output_hidden_states=len(self.blocks) > 1)
            joint = len(self.blocks) > 1
            found += [self.net.layernorm(out.hidden_states[b + 1]) for b in self.blocks] if joint else [out[0]]
        return found

    def _read(self, maps: list[torch.Tensor], size: Sequence[int]) -> list[Any]:
        return self.readout([m.float() for m in maps], (int(size[0]), int(size[1])))

    def _pixels(self, inputs: list[dict[str, Any]]) -> Iterator[tuple[str, torch.Tensor]]:
        """(view, normalised pixels of the batch) for each view that the readout looks at."""
        mean, std = (torch.tensor(c).view(1, 3, 1, 1) for c in self.colours)
        pixels = to_torch(np.stack([i["image"] for i in inputs])).permute(0, 3, 1, 2) / 255.0
        pixels = ((pixels - mean) / std).to(torch_dtype(self.dtype))
        for view in self.views:
            yield view, pixels.flip(3) if view == MIRROR else pixels


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


def _check_family(weights: Path) -> None:
    kind = json.loads((Path(weights) / "config.json").read_text()).get("model_type")
    if kind not in FAMILIES:
        raise ConfigError(f"{weights}/config.json: model_type {kind!r} is none of {', '.join(FAMILIES)}")


def _colours(weights: Path) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation that pixels are normalised with: the model's own where its folder names them."""
    path = Path(weights) / "preprocessor_config.json"
    facts = json.loads(path.read_text()) if path.is_file() else {}
    return facts.get("image_mean", MEAN), facts.get("image_std", STD)
