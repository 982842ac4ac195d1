"""One phase of a training: seeded steps of AdamW, a running mean of the weights, and checkpoints it goes on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lamofc.jsonio import read_json, write_json

_REPORT = 10
_KEEP = 50


class Phase:
    """rule: steps, rows, learning_rate, weight_decay, warm_up, decay (last share of the steps, in which the rate falls
    to nothing), clip, mean_over (steps of the running mean), and optionally stop, the last step taken.

    loss(generator) -> a scalar; all that it draws comes from the generator, which step and seed make.
    """

    def __init__(
        self, net: nn.Module, rule: Mapping[str, Any], seed: int, loss: Callable[[torch.Generator], torch.Tensor],
        state: Path,
    ) -> None:  # fmt: skip
        self.net, self.rule, self.seed, self.loss, self.state = net.train(), rule, seed, loss, Path(state)
        self.named = {k: p for k, p in net.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            list(self.named.values()), rule["learning_rate"], (0.9, 0.99), weight_decay=rule["weight_decay"]
        )
        self.means = {k: p.detach().clone() for k, p in self.named.items()}
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []
        if (self.state / "progress.json").is_file():
            self._load()

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
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(self.means[name])
        self.net.eval()

    def _take(self) -> torch.Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rule["learning_rate"] * self._rate()
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        self.optimizer.zero_grad(set_to_none=False)
        loss = self.loss(generator)
        loss.backward()
        nn.utils.clip_grad_norm_(self.named.values(), self.rule["clip"])
        self.optimizer.step()
        self.step += 1
        share = 1 / min(self.step, self.rule["mean_over"])
        torch._foreach_lerp_(list(self.means.values()), [p.detach() for p in self.named.values()], share)
        return loss.detach()

    def _rate(self) -> float:
        left = (self.rule["steps"] - self.step) / max(1, self.rule["decay"] * self.rule["steps"])
        return min(1.0, (self.step + 1) / self.rule["warm_up"], left)

    def _save(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        arrays = {f"weight/{k}": p.detach() for k, p in self.named.items()}
        arrays |= {f"mean/{k}": p for k, p in self.means.items()}
        moments = self.optimizer.state_dict()["state"]
        arrays |= {f"moment/{i}/{k}": v for i, found in moments.items() for k, v in found.items()}
        partial = self.state / "arrays.partial"
        save_file({k: v.contiguous() for k, v in arrays.items()}, partial)
        partial.replace(self.state / "arrays.safetensors")
        write_json(self.state / "progress.json", {"step": self.step, "seconds": self.seconds, "curve": self.curve})

    def _load(self) -> None:
        arrays, progress = load_file(self.state / "arrays.safetensors"), read_json(self.state / "progress.json")
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
