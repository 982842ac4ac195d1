"""Training of a small state-space language model: wide, short batches; seeded; goes on where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lamofc.jsonio import read_json, write_json
from lamofc.training import mamba_forward
from lamofc.training.packing import Source, batch

_REPORT = 10  # steps
_KEEP = 10  # steps between two checkpoints


class Training:
    """AdamW; what is kept at the end is a running mean of the weights.

    `state` is a folder for checkpoints; a training found there goes on.
    """

    def __init__(self, net: nn.Module, entry: Mapping[str, Any], sources: Sequence[Source], state: Path) -> None:
        self.net, self.entry, self.sources, self.state = net.train(), entry, sources, Path(state)
        self.named = dict(net.named_parameters())
        decayed = [p for p in self.named.values() if p.ndim > 1 and p.shape[-1] > 16]
        kept = [p for p in self.named.values() if not (p.ndim > 1 and p.shape[-1] > 16)]
        groups = [{"params": decayed, "weight_decay": entry["weight_decay"]}, {"params": kept, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=entry["learning_rate"], betas=(0.9, 0.98))
        self.means = {k: p.detach().clone() for k, p in self.named.items()}
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []
        if (self.state / "progress.json").is_file():
            self._load()

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

    def update(self, loss: torch.Tensor) -> torch.Tensor:
        """One step down the gradient of `loss`; -> it, without gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.entry["learning_rate"] * self._rate()
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.entry["clip"])
        self.optimizer.step()
        self.step += 1
        share = 1 / min(self.step, self.entry["mean_over"])
        torch._foreach_lerp_(list(self.means.values()), [p.detach() for p in self.named.values()], share)
        return loss.detach()

    def _rate(self) -> float:
        """Warm-up, then constant, then a straight line down over the last share `decay` of the steps."""
        left = (self.entry["steps"] - self.step) / max(1, self.entry["decay"] * self.entry["steps"])
        return min(1.0, (self.step + 1) / self.entry["warm_up"], left)

    def finish(self) -> dict[str, torch.Tensor]:
        """Put the means in the weights' place; -> them."""
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(self.means[name])
        return {k: p.detach() for k, p in self.named.items()}

    def _save(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        moments = self.optimizer.state_dict()["state"]
        arrays = {f"weight/{k}": p.detach() for k, p in self.named.items()}
        arrays |= {f"mean/{k}": p for k, p in self.means.items()}
        arrays |= {f"moment/{i}/{k}": v for i, found in moments.items() for k, v in found.items()}
        partial = self.state / "arrays.partial"
        save_file({k: v.contiguous() for k, v in arrays.items()}, partial)
        partial.replace(self.state / "arrays.safetensors")
        write_json(self.state / "progress.json", {"step": self.step, "seconds": self.seconds, "curve": self.curve})

    def _load(self) -> None:
        arrays = load_file(self.state / "arrays.safetensors")
        progress = read_json(self.state / "progress.json")
        self.step, self.seconds, self.curve = progress["step"], progress["seconds"], progress["curve"]
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(arrays[f"weight/{name}"])
                self.means[name] = arrays[f"mean/{name}"]
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name in (k for k in arrays if k.startswith("moment/")):
            _, index, key = name.split("/")
            moments.setdefault(int(index), {})[key] = arrays[name]
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
