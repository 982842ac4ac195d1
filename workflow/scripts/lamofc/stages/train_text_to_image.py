"""A small text-to-image model with control, and the judge of its images, trained on captioned drawings in phases."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from lamofc.tasks import shape_judge
from lamofc.training import drawings, text_to_image
from lamofc.training.drawings import Drawings
from lamofc.training.phase import Phase


def train(entry: Mapping[str, Any], dataset: Path, folder: Path, state: Path, log: Callable[[str], None]) -> dict:
    """Write pipeline/, controlnet/ and judge/ into `folder`; -> what the record says of it."""
    torch.set_num_threads(1)
    data, network = drawings.load(dataset), entry["network"]
    counts = {f"{k}s": int(getattr(data, k).max()) + 1 for k in shape_judge.READS}
    phases: dict[str, Phase] = {}

    def phase(name: str, make: Callable[[], nn.Module], loss: Callable[..., torch.Tensor]) -> nn.Module:
        torch.manual_seed(entry["seed"])
        net = make()
        rule = entry["phases"][name]
        phases[name] = Phase(net, rule, entry["seed"], lambda g: loss(net, rule, g), state / name)
        phases[name].run(lambda line: log(f"{name}: {line}"))
        return net

    vae = phase("autoencoder", lambda: text_to_image.autoencoder(network["autoencoder"]),
                lambda net, rule, g: text_to_image.autoencoder_loss(net, data, rule, g))  # fmt: skip
    judge = phase("judge", lambda: shape_judge.ShapeJudge(**counts),
                  lambda net, rule, g: text_to_image.judge_loss(net, data, rule, g))  # fmt: skip
    images, controls = (scale(vae, x) for x in (data.images, data.controls))
    prompts = fitting(dataset, data)
    denoiser = phase("flow", lambda: text_to_image.Denoiser(network["denoiser"], drawings.captions(dataset)),
                     lambda net, rule, g: text_to_image.flow_loss(net, images, controls, prompts, rule, g))  # fmt: skip
    text_to_image.save(vae, denoiser, folder)
    (folder / "judge").mkdir()
    save_file({k: v.half() for k, v in judge.state_dict().items()}, folder / "judge" / "model.safetensors")
    (folder / "judge" / "config.json").write_text(json.dumps(counts) + "\n")
    nets = {"judge": judge, "autoencoder": vae, "flow": denoiser}
    return {
        "parameters": {k: sum(p.numel() for p in net.parameters()) for k, net in nets.items()},
        "steps": {k: p.step for k, p in phases.items()},
        "seconds": {k: round(p.seconds, 1) for k, p in phases.items()},
        "curve": {k: p.curve for k, p in phases.items()},
    }


def scale(vae: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Latents as the pipeline scales them. The first call, on images, measures how, and the config keeps it."""
    found = text_to_image.latents(vae, pixels)
    if not vae.config.shift_factor:
        vae.register_to_config(shift_factor=float(found.mean()), scaling_factor=float(1 / found.std()))
    return (found - vae.config.shift_factor) * vae.config.scaling_factor


def fitting(dataset: Path, data: Drawings) -> list[list[str]]:
    """For each drawing the captions that fit it."""
    table = np.array(drawings.captions(dataset)).reshape(-1, int(data.colour.max()) + 1, int(data.shape.max()) + 1)
    return [table[:, c, s].tolist() for c, s in zip(data.colour, data.shape, strict=True)]
