"""Readouts of vision tails, fitted on the calibration parts of data sets: deterministic, no augmentation."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from lamofc import models, networks, tasks
from lamofc.models.readouts import Depth
from lamofc.models.vit import Model
from lamofc.provenance import ROOT
from lamofc.stages.fit_depth import fit_depth
from lamofc.whole import whole_file

STEPS = 200


def fit_readout(
    name: str, row: Mapping[str, Any], model_row: Mapping[str, Any], weights: Path, datasets: Sequence[Path], out: Path
) -> None:
    """Weights of a row of config/readouts.yaml: those that ship, else fitted on the unsplit model's token maps.

    All calibration samples of the row's data sets are used, whatever the codecs' calibration uses of them.
    """
    if "sha256" in row:
        with whole_file(out) as partial:
            shutil.copyfile(networks.shipped(name, row, ROOT), partial)
        return
    start = time.process_time()
    arrays = fitted(row, model_row, weights, datasets)
    with whole_file(out) as partial:
        save_file({k: v.detach().cpu().contiguous() for k, v in arrays.items()}, partial)
    print(f"fitted in {time.process_time() - start:.0f} s of CPU", flush=True)


def fitted(
    row: Mapping[str, Any], model_row: Mapping[str, Any], weights: Path, datasets: Sequence[Path]
) -> dict[str, torch.Tensor]:
    """The weights that `readout.load` takes."""
    torch.manual_seed(0)
    model = models.build(model_row, weights, row["split"], row["kind"])
    batches = chain.from_iterable(_batches(model, tasks.build(row["task"], d, weights)) for d in datasets)
    if isinstance(model.readout, Depth):
        return fit_depth(model.readout, list(batches))
    inputs, targets = [], []
    for maps, truths in batches:
        inputs.append(model.readout.inputs(maps))
        targets.append(model.readout.targets(truths, maps[0].shape[1] - model.readout.prefix))
    return _fit_linear(torch.cat(inputs), torch.cat(targets), model.readout.binary).state_dict()


def _batches(model: Model, task: Any) -> Iterator[tuple[list[torch.Tensor], list[Any]]]:
    examples = list(task.examples("calibration"))
    for start in range(0, len(examples), model.batch):
        batch = examples[start : start + model.batch]
        with torch.inference_mode():
            maps = [m.float() for m in model.unsplit_maps([e.inputs for e in batch], mirrored=False)]
        yield [m.clone() for m in maps], [e.truth for e in batch]


def _fit_linear(x: torch.Tensor, y: torch.Tensor, binary: bool) -> nn.Linear:
    """A linear map by L-BFGS with weight decay, on standardised inputs."""
    mean, std = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / std
    linear = nn.Linear(x.shape[1], 1 if binary else int(y.max()) + 1)
    nn.init.zeros_(linear.weight)
    optimiser = torch.optim.LBFGS(linear.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        out = linear(z)
        fit = (
            nn.functional.binary_cross_entropy_with_logits(out[:, 0], y)
            if binary
            else nn.functional.cross_entropy(out, y)
        )
        loss = fit + 1e-3 * linear.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    print(f"{len(x)} rows, loss {float(closure()):.4f}", flush=True)
    with torch.no_grad():  # fold the standardisation into the weights
        linear.weight /= std
        linear.bias -= linear.weight @ mean
    return linear
