"""How much the tail's last feature, or its answer, changes with each direction of what crosses the split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from tqdm import tqdm

from lamofc import models, tasks
from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models.torch_arrays import to_torch
from lamofc.transforms import positions, vectors
from lamofc.whole import whole_file

SAMPLES = 32  # at most
FEWEST = 16
ENOUGH = 3000  # vectors of each tensor, after which no more samples are taken
PROJECTIONS = 3
_PRIOR = 6  # gradients of average size that each position is taken to have seen
_UNREAD = 1e-3  # sensitivity of what is not read, of that of the least sensitive tensor that is
EDGE = 64  # positions told apart at either end


def sensitivity(
    row: Mapping[str, Any],
    model_row: Mapping[str, Any],
    weights: Path,
    dataset: Path,
    readout: Path | None,
    out: Path,
    of: str = "feature",
) -> None:
    """Write, per tensor, `<name>` = E[g g^T] over tokens (C x C float32) and `<name>/start`, `<name>/end` (64,).

    g is the gradient of a random projection of the last feature: the outer product is the metric in which small
    errors move that feature, whatever the task does with it. `of` "answer": of what the task reads instead, so that it
    is the Fisher information of the answer. No labels. Keys count before their rotation. The second pair is the mean
    squared gradient at the first and last positions over that of all but the first.
    """
    options = dict(model_row.get("options", {})) | {"dtype": "float32"}
    model = models.build({**model_row, "options": options}, weights, row["split"], row.get("readout"), readout)
    for parameter in model.net.parameters():
        parameter.requires_grad_(False)
    task = tasks.build(row["task"], dataset, weights)
    seen = reader(of, model, task, row)
    sums = {s.name: _Sum(s) for s in model.specs}
    examples = task.examples("calibration", min(SAMPLES, row["n_calibration"]))
    for number, example in enumerate(tqdm(examples, desc="sensitivity", mininterval=5)):
        (sample,) = model.head([example.inputs])
        for gradients in _gradients(seen, sample, example.side, number):
            for name, gradient in gradients.items():
                sums[name].add(gradient)
        if number + 1 >= FEWEST and all(s.count >= ENOUGH * PROJECTIONS for s in sums.values()):
            break
    arrays = {k: v for total in sums.values() for k, v in total.arrays().items()}
    _charge_unread(arrays, list(sums))
    with whole_file(out) as partial:
        save_file(arrays, partial)


def _charge_unread(arrays: dict[str, np.ndarray], names: list[str]) -> None:
    """A tensor that nothing reads, such as caches before an answer of one token, costs a little in all directions."""
    levels = {n: float(np.trace(arrays[n])) / max(1, len(arrays[n])) for n in names}
    least = min((v for v in levels.values() if v > 0), default=1.0)
    for name in [n for n, v in levels.items() if not v > 0]:
        arrays[name] = (_UNREAD * least * np.eye(len(arrays[name]))).astype(np.float32)


Seen = Callable[[dict[str, torch.Tensor], list[dict[str, Any]]], torch.Tensor]


def reader(of: str, model: Any, task: Any, row: Mapping[str, Any]) -> Seen:
    """The model's last "feature", or of its "answer" what `measure` of the task makes of `scores` of the model.

    ConfigError where one of them has none.
    """
    if of == "feature":
        return model.last_feature
    for owner, name, part in ((task, f"task {row['task']}", "measure"), (model, f"model {row['model']}", "scores")):
        if not hasattr(owner, part):
            raise ConfigError(
                f"curve {row['curve']}: {name} has no `{part}`, so that nothing is known of what moves its answer; "
                "write `metric: fisher` for this curve"
            )
    return lambda received, side: task.measure(model.scores(received, side))


def _gradients(seen: Seen, sample: Sample, side: dict[str, Any], seed: int) -> list[dict[str, np.ndarray]]:
    generator = torch.Generator("cpu").manual_seed(seed)
    received = {k: to_torch(v)[None].requires_grad_() for k, v in sample.items()}
    feature = seen(received, [side])
    found = []
    for _ in range(PROJECTIONS):
        projection = torch.randn(feature.shape, generator=generator, device="cpu").to(feature.device)
        gradients = torch.autograd.grad(
            feature, list(received.values()), projection, retain_graph=True, allow_unused=True
        )
        pairs = zip(received.items(), gradients, strict=True)
        found.append({k: (torch.zeros_like(x) if g is None else g)[0].cpu().numpy() for (k, x), g in pairs})
    return found


class _Sum:
    """Running sums for one tensor. Its first positions, an attention sink among them, stay out of the metric."""

    def __init__(self, spec: TensorSpec) -> None:
        size = vectors.dimension(spec)
        self.spec, self.first = spec, positions.apart(spec)
        self.outer, self.count = np.zeros((size, size)), 0
        self.edges = {edge: np.zeros((2, EDGE)) for edge in ("start", "end")}

    def add(self, gradient: np.ndarray) -> None:
        columns = vectors.to_vectors(gradient, self.spec)
        body = columns[:, self.first :]
        self.outer += body @ body.T
        self.count += body.shape[1]
        sizes = np.square(columns, dtype=np.float64).sum(0)
        for edge, ordered in (("start", sizes), ("end", sizes[self.first :][::-1])):
            kept = ordered[:EDGE]
            self.edges[edge][:, : len(kept)] += np.stack([kept, np.ones(len(kept))])

    def arrays(self) -> dict[str, np.ndarray]:
        mean = self.outer / max(1, self.count)
        level = float(np.trace(mean)) or 1.0
        edges = {
            f"{self.spec.name}/{edge}": ((sums + _PRIOR * level) / (counts + _PRIOR) / level).astype(np.float32)
            for edge, (sums, counts) in self.edges.items()
        }
        return {self.spec.name: mean.astype(np.float32), **edges}
