"""Training of a small state-space language model: wide, short batches; seeded; goes on where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lamofc.training import mamba_forward
from lamofc.training.packing import Source, batch
from lamofc.training.steps import Steps

_REPORT = 10  # steps
_KEEP = 10  # steps between two checkpoints


class Training(Steps):
    """AdamW; what is kept at the end is a running mean of the weights.

    `state` is a folder for checkpoints; a training found there goes on.
    """

    def __init__(self, net: nn.Module, entry: Mapping[str, Any], sources: Sequence[Source], state: Path) -> None:
        named = dict(net.named_parameters())
        decayed = [p for p in named.values() if p.ndim > 1 and p.shape[-1] > 16]
        kept = [p for p in named.values() if not (p.ndim > 1 and p.shape[-1] > 16)]
        groups = [{"params": decayed, "weight_decay": entry["weight_decay"]}, {"params": kept, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=entry["learning_rate"], betas=(0.9, 0.98))
        super().__init__(net, entry, optimizer, state)
        self.entry, self.sources = entry, sources

    def run(self, log: Callable[[str], None] = print, last: int | None = None) -> None:
        """Train to the last step, or to step `last`, a multiple of those between two checkpoints."""
        losses: list[torch.Tensor] = []
        begun = time.perf_counter()
        while self.step < min(self.entry["steps"], last or self.entry["steps"]):
            losses.append(self._take())
            if self.step % _REPORT == 0:
                self.seconds += time.perf_counter() - begun
                begun = time.perf_counter()
                mean = torch.stack(losses).mean(0).tolist()
                losses = []
                self.curve.append({"step": self.step, "loss": round(mean[0], 4), "answers": round(mean[1], 4)})
                speed = self.step * self.entry["rows"] / self.seconds
                log(f"step {self.step}: loss {mean[0]:.3f}, answers {mean[1]:.3f} nats, {speed:.1f} rows/s")
            if self.step % _KEEP == 0:
                self._save()

    def _take(self) -> torch.Tensor:
        entry = self.entry
        drawn = batch(self.sources, entry["rows"], entry["length"], (entry["seed"], self.step))
        ids, targets, weights = map(torch.from_numpy, drawn)
        logits = mamba_forward.logits(self.net, ids)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        flat = weights.flatten()
        self.update((loss * flat).sum() / flat.sum())
        answers = loss.detach()[flat > 1]
        return torch.stack([loss.detach().mean(), answers.mean() if len(answers) else loss.detach().mean()])
