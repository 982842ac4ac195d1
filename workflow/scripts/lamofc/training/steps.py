"""Seeded steps of AdamW with a running mean of the weights, and checkpoints that a stopped training goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lamofc.jsonio import read_json, write_json


class Steps:
    """What the trainings by rule share.

    rule: steps, learning_rate, warm_up, decay (last share of the steps, in which the rate falls to nothing), clip,
    mean_over (steps of the running mean).
    """

    def __init__(
        self, net: nn.Module, rule: Mapping[str, Any], optimizer: torch.optim.Optimizer, state: Path
    ) -> None:  # fmt: skip
        self.net, self.rule, self.optimizer, self.state = net.train(), rule, optimizer, Path(state)
        self.named = {k: p for k, p in net.named_parameters() if p.requires_grad}
        self.means = {k: p.detach().clone() for k, p in self.named.items()}
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []
        if (self.state / "progress.json").is_file():
            self._load()

    def update(self, loss: torch.Tensor) -> torch.Tensor:
        """One step down the gradient of `loss`; -> it, without gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rule["learning_rate"] * self._rate()
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        nn.utils.clip_grad_norm_(self.named.values(), self.rule["clip"])
        self.optimizer.step()
        self.step += 1
        share = 1 / min(self.step, self.rule["mean_over"])
        torch._foreach_lerp_(list(self.means.values()), [p.detach() for p in self.named.values()], share)
        return loss.detach()

    def _rate(self) -> float:
        """Warm-up, then constant, then a straight line down over the last share `decay` of the steps."""
        left = (self.rule["steps"] - self.step) / max(1, self.rule["decay"] * self.rule["steps"])
        return min(1.0, (self.step + 1) / self.rule["warm_up"], left)

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
