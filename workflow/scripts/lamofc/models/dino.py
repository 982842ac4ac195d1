"""DINOv2 and DINOv3 vision transformers at the paper's sizes, cut after one block or after several jointly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamofc.interfaces import Sample, TensorSpec
from lamofc.models import dino_readouts, placing
from lamofc.models.dino_trunk import Trunk
from lamofc.models.torch_arrays import map_batches, to_numpy, to_torch, torch_dtype
from lamofc.models.vit import parse_split


class Model:
    """Head: patch embedding and blocks 0..b. Tail: the remaining blocks, final norm, readout.

    split: "block9" (tokens after block 9 cross) or "blocks9-19-29-39" (four token maps cross; the tail is final norm
    and readout). readout: linear-head (the image), mask2former (sliding windows), dpt (the image and its mirror).
    Features: `block<b>` (views x tokens, channels), the views of a sample one after another; `prior<i>` besides
    where the readout reads pixels and `prior` is "sent". Side: image height and width.
    """

    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str,
        readout_weights: Path | None = None,
        dtype: str = "float32",
        device: str = "auto",
        device_map: Any = None,
        batch: int = 1,
        image_size: int = 512,
        prior: str = "sent",
    ) -> None:
        self.trunk = Trunk.load(weights, dtype, device, device_map)
        self.net, self.batch, self.block, self.dtype = self.trunk.net, batch, batch, dtype
        self.blocks = parse_split(split, len(self.trunk.blocks))
        self.device = placing.device_of(device)
        self.readout = dino_readouts.build(readout, Path(weights), self.trunk, image_size, prior)
        self.readout.to(self.device, torch_dtype(dtype))
        self.views = self.readout.views
        self.specs = [TensorSpec(f"block{b}", "tokens", dtype, *self._shape(b)) for b in self.blocks]
        self.specs += self.readout.prior_specs(dtype)

    def _shape(self, block: int) -> tuple[tuple[int | None, int], int, dict[str, Any]]:
        """Natural shape, layer and attributes; a grid is told only where a sample has one view."""
        grid = [n // self.trunk.patch for n in self.views.size]
        tokens, fixed = self.trunk.prefix + grid[0] * grid[1], self.readout.fixed_views
        shape = (fixed * tokens if fixed else None, self.trunk.width)
        facts = {"grid": grid, "prefix": self.trunk.prefix} if fixed == 1 else {"view": tokens}
        return shape, block, facts

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
        maps = {k: to_numpy(v) for k, v in self.features(self.pixels(inputs)).items()}
        return [{k: np.split(v, len(inputs))[i].reshape(-1, v.shape[-1]) for k, v in maps.items()}
                for i in range(len(inputs))]  # fmt: skip

    @torch.inference_mode()
    def _tail(self, pairs: list[tuple[Sample, dict[str, Any]]]) -> list[Any]:
        views = len(pairs) * self.views.count(pairs[0][1]["size"])
        stacked = {s.name: to_torch(np.concatenate([f[s.name] for f, _ in pairs]), self.device) for s in self.specs}
        stacked = {k: v.unflatten(0, (views, -1)) for k, v in stacked.items()}
        maps = self.finish([stacked[f"block{b}"] for b in self.blocks])
        return self._read(maps, [stacked[s.name] for s in self.specs[len(self.blocks) :]], [s for _, s in pairs])

    @torch.inference_mode()
    def _unsplit(self, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Any]:
        pixels = self.pixels([i for i, _ in pairs])
        maps = self.trunk.whole(pixels, self.blocks)
        if len(self.blocks) > 1:
            maps = [self.trunk.norm(m).to(self.device) for m in maps]
        return self._read(maps, list(self.readout.prior(pixels).values()), [s for _, s in pairs])

    def features(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """(views, 3, height, width) -> what crosses, (views, tokens, channels) each."""
        found, size = {}, tuple(pixels.shape[-2:])
        for number, hidden in self.trunk.run(self.trunk.embed(pixels), 0, self.blocks[-1] + 1, size):
            if number in self.blocks:
                found[f"block{number}"] = hidden
        return found | self.readout.prior(pixels)

    def finish(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Received token maps (views, tokens, channels) -> normed maps that the readout reads."""
        if len(maps) == 1:
            for _, hidden in self.trunk.run(maps[0], self.blocks[0] + 1, len(self.trunk.blocks), self.views.size):
                maps = [hidden]
        return [self.trunk.norm(m).to(self.device) for m in maps]  # a spread trunk ends on another device

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> all that the readout reads of them (batch, values), with gradients."""
        count = self.views.count(side[0]["size"])
        read = [m.unflatten(0, (-1, count)).flatten(1) for m in self._maps(received, count)]
        return torch.cat(read + [received[s.name].flatten(1) for s in self.specs[len(self.blocks) :]], 1)

    def _maps(self, received: dict[str, torch.Tensor], count: int) -> list[torch.Tensor]:
        return self.finish([received[f"block{b}"].unflatten(1, (count, -1)).flatten(0, 1) for b in self.blocks])

    def scores(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> what the readout's output is decided from, with gradients. One sample at a time."""
        count, grid = self.views.count(side[0]["size"]), tuple(n // self.trunk.patch for n in self.views.size)
        prior = [received[s.name][0].unflatten(0, (count, -1)) for s in self.specs[len(self.blocks) :]]
        return self.readout.scores(self._maps(received, count), prior, grid, side[0]["size"])[None]

    def pixels(self, inputs: list[dict[str, Any]]) -> torch.Tensor:
        """Views of all samples, one after another."""
        return torch.cat([self.views.cut(i["image"]) for i in inputs]).to(self.device, torch_dtype(self.dtype))

    def _read(self, maps: list[torch.Tensor], prior: list[torch.Tensor], side: list[dict[str, Any]]) -> list[Any]:
        grid = tuple(n // self.trunk.patch for n in self.views.size)
        views = len(maps[0]) // len(side)
        parts = [[m[i * views : (i + 1) * views] for m in (*maps, *prior)] for i in range(len(side))]
        return [self.readout(p[: len(maps)], p[len(maps) :], grid, s["size"]) for p, s in zip(parts, side, strict=True)]
