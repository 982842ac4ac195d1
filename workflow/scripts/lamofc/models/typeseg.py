"""typeseg's content-type tagger, a bidirectional Mamba over bytes, cut after a block."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models.torch_arrays import map_batches, to_numpy, to_torch, torch_dtype
from lamofc.models.typeseg_net import Sizes, Tagger


class Model:
    """Head: embedding and blocks 0..b. Tail: blocks b+1.. and the label head.

    What crosses is `output` (bytes, width) after block b and nothing else: every block scans the whole text from both
    ends, so that no state of the head's blocks is read again. Output: mean log-probabilities of the labels over the
    bytes, and the likeliest label.
    """

    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str | None = None,
        readout_weights: Path | None = None,
        dtype: str = "float32",
        batch: int = 16,
    ) -> None:
        sizes = Sizes(**json.loads((Path(weights) / "config.json").read_text())["sizes"])
        self.net = Tagger(sizes)
        self.net.load_state_dict(load_file(Path(weights) / "model.safetensors"))
        self.net.to(torch_dtype(dtype)).eval()
        self.batch, self.cut = batch, parse_split(split, sizes.blocks)
        self.specs = [TensorSpec("output", "tokens", dtype, (None, sizes.width), self.cut)]

    def head(self, inputs: Sequence[dict[str, Any]]) -> list[Sample]:
        """inputs: {"bytes": uint8 (bytes,)}."""
        return map_batches(inputs, lambda i: len(i["bytes"]), self.batch, self._head)

    def tail(self, features: Sequence[Sample], side: Sequence[dict[str, Any]]) -> list[Any]:
        """side: nothing. -> {"label", "logits"}."""
        return map_batches(features, lambda f: len(f["output"]), self.batch, self._tail)

    def unsplit(self, inputs: Sequence[dict[str, Any]], side: Sequence[dict[str, Any]]) -> list[Any]:
        return map_batches(inputs, lambda i: len(i["bytes"]), self.batch, self._unsplit)

    @torch.inference_mode()
    def _head(self, inputs: list[dict[str, Any]]) -> list[Sample]:
        return [{"output": row} for row in to_numpy(self._front(inputs))]

    def _front(self, inputs: list[dict[str, Any]]) -> torch.Tensor:
        x = self.net.start(torch.from_numpy(np.stack([i["bytes"] for i in inputs])).long())
        for block in self.net.blocks[: self.cut + 1]:
            x = block(x)
        return x

    def finish(self, x: torch.Tensor) -> torch.Tensor:
        """Output of the split block (batch, bytes, width) -> what the label head reads, the same shape."""
        for block in self.net.blocks[self.cut + 1 :]:
            x = block(x)
        return self.net.norm(x)

    @torch.inference_mode()
    def _tail(self, features: list[Sample]) -> list[Any]:
        return self._outputs(to_torch(np.stack([f["output"] for f in features])))

    @torch.inference_mode()
    def _unsplit(self, inputs: list[dict[str, Any]]) -> list[Any]:
        return self._outputs(self._front(inputs))

    def _outputs(self, x: torch.Tensor) -> list[Any]:
        means = self._means(x).numpy()
        return [{"label": int(row.argmax()), "logits": row} for row in means]

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> what the label head reads, with gradients."""
        return self.finish(received["output"])

    def scores(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> log-probabilities of the labels, with gradients."""
        return self._means(received["output"])

    def _means(self, x: torch.Tensor) -> torch.Tensor:
        return self.net.head(self.finish(x)).float().log_softmax(-1).mean(1)


def parse_split(split: str, blocks: int) -> int:
    """ "block2" -> 2; ConfigError unless 0 <= block < blocks - 1."""
    number = split.removeprefix("block")
    if not split.startswith("block") or not number.isdecimal() or int(number) >= blocks - 1:
        raise ConfigError(f"split {split!r}: write block<b> with b from 0 to {blocks - 2}")
    return int(number)
