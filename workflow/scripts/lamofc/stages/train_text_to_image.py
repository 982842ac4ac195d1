"""A small text-to-image model with control, and the judge of its images, trained on captioned drawings in phases."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from lamofc import likeness
from lamofc.datasets.easy_vqa import edges as edges_of
from lamofc.models import sd3_control
from lamofc.tasks import items, shape_judge
from lamofc.training import drawings, text_to_image
from lamofc.training.drawings import Drawings
from lamofc.training.phase import Phase

SHOWN = 24  # drawings in the contact sheet


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

    def flow(net: nn.Module, rule: Mapping[str, Any], generator: torch.Generator) -> torch.Tensor:
        return text_to_image.flow_loss(net, images, controls, prompts, rule, generator)

    denoiser = phase("flow", lambda: text_to_image.Denoiser(network["denoiser"], drawings.captions(dataset)), flow)
    denoiser = phase("refine", lambda: denoiser, flow)
    text_to_image.save(vae, denoiser, folder)
    (folder / "judge").mkdir()
    save_file({k: v.half() for k, v in judge.state_dict().items()}, folder / "judge" / "model.safetensors")
    (folder / "judge" / "config.json").write_text(json.dumps(counts) + "\n")
    held_out = validate(folder, dataset, entry["sampling"])
    nets = {"judge": judge, "autoencoder": vae, "flow": denoiser}
    return {
        "parameters": {k: sum(p.numel() for p in net.parameters()) for k, net in nets.items()},
        "steps": {k: p.step for k, p in phases.items()},
        "seconds": {k: round(p.seconds, 1) for k, p in phases.items()},
        "held_out": held_out,
        "curve": {k: p.curve for k, p in phases.items()},
    }


def validate(folder: Path, dataset: Path, sampling: Mapping[str, Any]) -> dict[str, float]:
    """The files just written, on the calibration part: percent that the judge reads right of drawings, of drawings
    through the autoencoder and of generated images, PSNR, edge agreement; and contact_sheet.png of the first ones."""
    found = list(items.of_part(dataset, "calibration"))
    real, controls = (np.stack([items.image(dataset / i[k]) for i in found]) for k in ("image", "control"))
    inputs = [{"prompt": i["prompt"], "control": c} for i, c in zip(found, controls, strict=True)]
    model = sd3_control.Model(folder, "latent", dtype="float32", device="cpu", size=real.shape[1], batch=64, **sampling)
    made = np.stack(model.unsplit(inputs, [{}] * len(inputs)))
    with torch.inference_mode():
        coded = model.vae.encode(drawings.scaled(torch.from_numpy(real).permute(0, 3, 1, 2))).latent_dist.mean
        back = (model.vae.decode(coded).sample.permute(0, 2, 3, 1).clamp(-1, 1) + 1) * 127.5
    images = {"drawings": real, "autoencoder": back.round().byte().numpy(), "generated": made}
    judge, scores = shape_judge.load(folder / "judge"), {}
    for name, some in images.items():
        read = shape_judge.read(judge, some)
        right = {k: read[k] == np.array([i[k] for i in found]) for k in shape_judge.READS}
        right["both"] = right["colour"] & right["shape"]
        scores |= {f"{name}_{k}": round(100 * float(v.mean()), 2) for k, v in right.items()}
    decibels = [likeness.psnr(a, b) for a, b in zip(real, images["autoencoder"], strict=True)]
    scores["autoencoder_psnr"] = round(float(np.mean(decibels)), 2)
    thresholds = [items.facts(dataset)["options"][k] for k in ("low", "high")]
    edges = [likeness.edge_agreement(edges_of(m, *thresholds), c[..., 0]) for m, c in zip(made, controls, strict=True)]
    rows = [np.concatenate(list(some[:SHOWN]), 1) for some in (real, controls, made)]
    Image.fromarray(np.concatenate(rows, 0)).save(folder / "contact_sheet.png", optimize=True)
    return scores | {"n": len(found), "edge_agreement": round(float(np.mean(edges)), 4)}


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
