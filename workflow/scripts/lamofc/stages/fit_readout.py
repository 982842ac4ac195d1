"""Linear readouts of vision tails, fitted on calibration samples: deterministic, no augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from lamofc import models, tasks
from lamofc.models.readouts import LinearMask, Probe
from lamofc.models.torch_arrays import to_torch
from lamofc.whole import whole_file

STEPS = 200


def fit_readout(row: Mapping[str, Any], model_row: Mapping[str, Any], weights: Path, dataset: Path, out: Path) -> None:
    """All calibration samples of the data set, whatever the codecs' calibration uses of them, through the
    unsplit model; a linear map by L-BFGS with weight decay."""
    torch.manual_seed(0)
    model = models.build(model_row, weights, row["split"], row["readout"])
    examples = list(tasks.build(row["task"], dataset, weights).examples("calibration"))
    inputs, targets = [], []
    for start in range(0, len(examples), model.batch):
        batch = examples[start : start + model.batch]
        with torch.inference_mode():
            maps = [m.float() for m in model.unsplit_maps([e.inputs for e in batch])]
        inputs.append(_inputs(model.readout, maps))
        targets.append(_targets(model.readout, [e.truth for e in batch], maps[0].shape[1] - 1))
    x, y = torch.cat(inputs).clone(), torch.cat(targets)
    linear = _fit_linear(x, y, binary=isinstance(model.readout, LinearMask))
    with whole_file(out) as partial:
        save_file({k: v.detach().cpu().contiguous() for k, v in linear.state_dict().items()}, partial)


def _inputs(readout: nn.Module, maps: list[torch.Tensor]) -> torch.Tensor:
    if isinstance(readout, Probe):
        return Probe.inputs(maps)
    return torch.cat([m[:, 1:] for m in maps], -1).flatten(0, 1)


def _targets(readout: nn.Module, truths: list[Any], patches: int) -> torch.Tensor:
    if isinstance(readout, Probe):
        return torch.tensor(truths)
    side = int(patches**0.5)
    masks = to_torch(np.stack(truths)).float()[:, None]
    return nn.functional.adaptive_avg_pool2d(masks, side).flatten()  # share of the patch that is object


def _fit_linear(x: torch.Tensor, y: torch.Tensor, binary: bool) -> nn.Linear:
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
