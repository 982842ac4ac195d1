"""The depth head of a vision tail, trained on the token maps of rendered scenes: seeded, under a minute of CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from lamofc.models.readouts import Depth
from lamofc.models.torch_arrays import to_torch

STEPS, BATCH, RATE, DECAY = 300, 8, 2e-3, 0.1


def fit_depth(
    readout: Depth, batches: Sequence[tuple[list[torch.Tensor], list[Any]]], steps: int = STEPS
) -> dict[str, torch.Tensor]:
    """(maps of the image, truths in metres) by batch -> weights of least mean absolute error of log-depth.

    Pixels without a truth (0) take no part.
    """
    maps = torch.cat([readout.inputs(m) for m, _ in batches])
    truths = to_torch(np.stack([t for _, found in batches for t in found]))
    head = readout.head.train()
    _start(head, maps, truths)
    target, known = _targets(head, maps[:1], truths)
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    generator = torch.Generator("cpu").manual_seed(0)
    for step in range(steps):
        chosen = torch.randperm(len(maps), generator=generator, device="cpu")[:BATCH]
        found = head.log_depth(maps[chosen])
        loss = ((found - target[chosen]).abs() * known[chosen]).sum() / known[chosen].sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step}: mean absolute error of log-depth {loss.item():.4f}", flush=True)
    head.eval()
    return head.state_dict()


def _start(head: nn.Module, maps: torch.Tensor, truths: torch.Tensor) -> None:
    with torch.no_grad():
        head.mean.copy_(maps.mean((0, 2, 3)))
        head.deviation.copy_(maps.std((0, 2, 3)) + 1e-6)
        head.out.bias.fill_(truths[truths > 0].log().mean())


def _targets(head: nn.Module, some: torch.Tensor, truths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean log-depth of the pixels under each output (samples, rows, columns), and the share of them that is known."""
    with torch.no_grad():
        shape = head.log_depth(some).shape[-2:]
    mask = (truths > 0).float()[:, None]
    known = nn.functional.adaptive_avg_pool2d(mask, shape)
    total = nn.functional.adaptive_avg_pool2d(truths.clamp(min=1e-3).log()[:, None] * mask, shape)
    return (total / known.clamp(min=1e-6))[:, 0], known[:, 0]
