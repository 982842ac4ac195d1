"""Training of a network ladder by a rule: seeded, single-threaded, the same bytes on every run of one machine."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamofc.errors import ConfigError
from lamofc.networks import crops, files
from lamofc.networks.gained import GainedHyperprior, Ladder
from lamofc.networks.gained_elic import GainedElic, GainedPaperElic

Log = Callable[[str], None]
_REPORT_EVERY = 25
_MEAN_OVER = 100  # steps
ARCHITECTURES = {"scale-hyperprior": GainedHyperprior, "elic": GainedElic, "elic-paper": GainedPaperElic}
_TRANSFORMS = ("g_a.", "g_s.")


def train(name: str, entry: Mapping[str, Any], stores: Sequence[Path], out: Path, log: Log = print) -> dict[str, Any]:
    """Train all lambdas of a row of config/networks.yaml on calibration stores of several models.

    Writes the weights to `out` (safetensors) and, beside it with the suffix .json, seed, settings, sha256, parameters,
    seconds and the loss curve; returns what that file holds. `joint: true` trains one set of weights with gains per
    lambda, else each lambda has its own network. Loss: bits per plane element + lambda x 255^2 x MSE on the plane.
    """
    if not stores:
        raise ConfigError(f"network {name}: no calibration stores to train on; name at least one curve")
    models = [planes for s in stores if (planes := crops.index_planes(s, entry["assign"], entry["samples"]))]
    groups = [entry["lambdas"]] if entry["joint"] else [[x] for x in entry["lambdas"]]
    arrays, curve, start = {}, [], time.perf_counter()
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        for group in groups:
            model, losses = _train_group(name, group, entry, models, log)
            arrays |= model.export()
            curve += losses
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
    record = {
        "network": name,
        "settings": {k: v for k, v in entry.items() if k != "sha256"},
        "stores": [f"{Path(s).parent.name}/{Path(s).name}" for s in stores],
        "sha256": files.write(out, arrays),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.perf_counter() - start, 1),
        "curve": curve,
    }
    Path(out).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    return record


def _train_group(
    name: str, lambdas: Sequence[float], entry: Mapping[str, Any], models: Sequence[Sequence[np.ndarray]], log: Log
) -> tuple[Ladder, list[dict[str, float]]]:
    """Steps go round the lambdas; -> the trained model and means of the loss over `_REPORT_EVERY` rounds."""
    torch.manual_seed(entry["seed"])
    model = ARCHITECTURES[entry["architecture"]](entry["n"], entry["m"], lambdas).to(memory_format=torch.channels_last)
    feed = crops.batches(models, entry["crop"], entry["batch"], np.random.default_rng(entry["seed"]))
    model.start_from(torch.from_numpy(next(feed)))
    steps = _Steps(model, entry)
    curve, pending = [], []
    for step in range(entry["steps"] * len(lambdas)):
        k = step % len(lambdas)
        pending.append((k, *steps.take(torch.from_numpy(next(feed)), k)))
        if (step + 1) % (_REPORT_EVERY * len(lambdas)) == 0:
            for k, lmbda in enumerate(lambdas):
                bpp, mse = np.mean([p[1:] for p in pending if p[0] == k], axis=0)
                curve.append({"step": step + 1, "lambda": lmbda, "bpp": round(bpp, 5), "mse": round(mse, 8)})
                log(f"{name}: step {step + 1}, lambda {lmbda:g}: {bpp:.3f} bit per element, plane MSE {mse:.3g}")
            pending = []
    steps.finish()
    return model.eval(), curve


def _cosine(done: float) -> float:
    return 0.05 + 0.95 * (1 + math.cos(math.pi * min(done, 1.0))) / 2


class _Steps:
    """Optimisers of a model: Adam with a rate for the transforms and one for the rest, both falling as a cosine;
    Adam on the bottlenecks' quantiles. What is kept is a running mean of the weights: at high rates synthesis must
    invert analysis closely, and the last steps' jitter alone would cost more than their noise in the rate."""

    def __init__(self, model: Ladder, entry: Mapping[str, Any]) -> None:
        named = dict(model.named_parameters())
        aux = [p for n, p in named.items() if n.endswith("quantiles")]
        transforms = [p for n, p in named.items() if n.startswith(_TRANSFORMS)]
        hyper = [p for n, p in named.items() if not n.startswith(_TRANSFORMS) and not n.endswith("quantiles")]
        self.model, self.clip, self.weights = model, entry["clip"], transforms + hyper
        rates = (transforms, entry["learning_rate"]), (hyper, entry["hyper_learning_rate"])
        self.optimizer = torch.optim.Adam([{"params": p, "lr": rate} for p, rate in rates])
        self.aux_optimizer = torch.optim.Adam(aux, lr=entry["aux_learning_rate"])
        total = max(1, entry["steps"] * len(model.lambdas))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda i: _cosine(i / total))

        self._means = [p.detach().clone() for p in model.parameters()]
        self._taken = 0

    def take(self, x: torch.Tensor, k: int) -> tuple[float, float]:
        """One step at lambda k -> (bits per element, plane MSE)."""
        self.optimizer.zero_grad()
        found = self.model(x.to(memory_format=torch.channels_last), k)
        bpp = sum(-torch.log2(found[c]).sum() for c in "yz") / x.numel()
        mse = torch.mean((found["x_hat"] - x) ** 2)
        (bpp + self.model.lambdas[k] * 255**2 * mse).backward()
        torch.nn.utils.clip_grad_norm_(self.weights, self.clip)
        self.optimizer.step()
        self.schedule.step()
        self.aux_optimizer.zero_grad()
        self.model.aux_loss().backward()
        self.aux_optimizer.step()
        self._average()
        return bpp.item(), mse.item()

    @torch.no_grad()
    def _average(self) -> None:
        self._taken += 1
        share = 1 / min(self._taken + 1, _MEAN_OVER)
        torch._foreach_lerp_(self._means, list(self.model.parameters()), share)

    @torch.no_grad()
    def finish(self) -> None:
        """Put the means in the weights' place."""
        for parameter, mean in zip(self.model.parameters(), self._means, strict=True):
            parameter.copy_(mean)
