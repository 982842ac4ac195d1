"""One phase of a training whose loss draws all it needs from a generator that step and seed make."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lamofc.training.steps import Steps

_REPORT = 10
_KEEP = 50


class Phase(Steps):
    """rule: as in `Steps`, and rows, weight_decay and optionally stop, the last step taken.

    loss(generator) -> a scalar; all that it draws comes from the generator, which step and seed make.
    """

    def __init__(
        self, net: nn.Module, rule: Mapping[str, Any], seed: int, loss: Callable[[torch.Generator], torch.Tensor],
        state: Path,
    ) -> None:  # fmt: skip
        trained = [p for p in net.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, rule["learning_rate"], (0.9, 0.99), weight_decay=rule["weight_decay"])
        super().__init__(net, rule, optimizer, state)
        self.seed, self.loss = seed, loss

    def run(self, log: Callable[[str], None], last: int | None = None) -> None:
        """To the last step of the rule, or to step `last`; then the means take the weights' place."""
        losses: list[torch.Tensor] = []
        begun = time.perf_counter()
        end = min(self.rule.get("stop", self.rule["steps"]), last or self.rule["steps"])
        while self.step < end:
            losses.append(self._take())
            if self.step % _REPORT == 0 or self.step == end:
                self.seconds += time.perf_counter() - begun
                begun = time.perf_counter()
                self.curve.append({"step": self.step, "loss": round(float(torch.stack(losses).mean()), 5)})
                losses = []
                log(f"step {self.step}: loss {self.curve[-1]['loss']:.5f}, {self.seconds:.0f} s")
            if self.step % _KEEP == 0 or self.step == end:
                self._save()
        self.finish()
        self.net.eval()

    def _take(self) -> torch.Tensor:
        return self.update(self.loss(torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)))
