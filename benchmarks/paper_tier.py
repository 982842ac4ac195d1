"""What the paper tier's vision and text-to-image curves take, derived from the full-size models on the meta device.

    python benchmarks/paper_tier.py

Counts weights, features and floating-point operations of the very classes that run, without any weights, and prints
the table of docs/paper-tier.md. Hours are operations over the rates below; no GPU was measured.
"""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from lamofc.models import dino, placing, sd3_control

ROOT = Path(__file__).parents[1]
SHAPES = ROOT / "config/paper/shapes"
RATE = {"float32": 12e12, "float16": 120e12}  # sustained operations a second of one 80 GB GPU (A100 class)
SAMPLES, CALIBRATION, LATENCY, GRADIENTS = 100, 10, 9, 10
WINDOWS = 2  # of a photograph of 4:3


def points() -> int:
    """Points of all arms: how often a tail runs per sample."""
    arms = yaml.safe_load((ROOT / "config/paper/codecs.yaml").read_text())
    return sum(len(a["ladder"]) for a in arms.values())


def operations(function, *arguments, **options) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function(*arguments, **options)
    return counter.get_total_flops()


def vision(name: str, split: str, readout: str, views: int) -> dict:
    model = dino.Model(SHAPES / "dinov3-7b", split, readout, device="meta")
    pixels = torch.empty(views, 3, *model.views.size, device="meta")
    head = operations(model.features, pixels)
    found = model.features(pixels)
    received = [found[f"block{b}"] for b in model.blocks]
    tail = operations(model.finish, received)
    grid = tuple(n // model.trunk.patch for n in model.views.size)
    maps = [m[:, model.trunk.prefix :].transpose(1, 2).unflatten(2, grid) for m in model.finish(received)]
    if readout == "dpt":
        tail += operations(model.readout.head, maps)
    if readout == "mask2former":  # the decoder's masks depend on values: its share, under a tenth, is left out
        priors = [v for k, v in found.items() if k.startswith("prior")]
        adapted = model.readout.adapter
        tail += operations(adapted, [m.flatten(2).transpose(1, 2) for m in maps], priors, grid)
        tail += operations(
            model.readout.head.pixel_decoder, adapted([m.flatten(2).transpose(1, 2) for m in maps], priors, grid)
        )
    weights = placing.parameters(model.net, model.readout) * 4
    size = sum(v.numel() for v in found.values()) * 4
    return {"curve": name, "dtype": "float32", "weights": weights, "bytes": size, "head": head, "tail": tail}


def image() -> list[dict]:
    from diffusers import AutoencoderKL, SD3ControlNetModel, SD3Transformer2DModel
    from transformers import CLIPTextModelWithProjection, T5EncoderModel

    folder = SHAPES / "sd35-large"
    parts = {"text_encoder": CLIPTextModelWithProjection, "text_encoder_2": CLIPTextModelWithProjection,
             "text_encoder_3": T5EncoderModel, "transformer": SD3Transformer2DModel, "vae": AutoencoderKL}  # fmt: skip
    nets = {k: placing.load(c, folder / "pipeline" / k, "float16", "meta") for k, c in parts.items()}
    nets["controlnet"] = placing.load(SD3ControlNetModel, folder / "controlnet", "float16", "meta")
    half = {"dtype": torch.float16, "device": "meta"}
    ids = torch.zeros(1, 77, dtype=torch.long, device="meta")
    text = sum(operations(nets[k], ids) for k in parts if k.startswith("text"))
    encode = operations(nets["vae"].encode, torch.empty(2, 3, 1024, 1024, **half))
    decode = operations(nets["vae"].decode, torch.empty(1, 16, 128, 128, **half))
    latent, pooled, when = torch.empty(2, 16, 128, 128, **half), torch.empty(2, 2048, **half), torch.zeros(2, **half)
    step = operations(nets["transformer"], latent, torch.empty(2, 154, 4096, **half), pooled, when)
    nets["controlnet"].pos_embed = nets["transformer"].pos_embed  # shared, as the pipeline does
    step += operations(nets["controlnet"], latent, latent, 1.0, None, pooled, when)
    nets["controlnet"].pos_embed = None
    weights = sum(placing.parameters(n) for n in nets.values()) * 2
    print({k: placing.parameters(v) for k, v in nets.items()})
    rows = [("condition", text + encode, 60 * step + text + decode), ("latent", text + encode + 60 * step, decode)]
    return [
        {"curve": f"coco-canny.sd35-large.{split}", "dtype": "float16", "weights": weights, "head": head, "tail": tail,
         "bytes": sum(_size(s.shape) for s in sd3_control.Model(folder, split, device="meta").specs) * 2}
        for split, head, tail in rows
    ]  # fmt: skip


def _size(shape) -> int:
    return int(torch.Size(shape).numel())


def line(row: dict) -> str:
    head, tail = row["head"] / RATE[row["dtype"]], row["tail"] / RATE[row["dtype"]]
    extract = (SAMPLES + LATENCY) * (2 * head + tail) + CALIBRATION * head + LATENCY * tail
    gradients = GRADIENTS * (head + 4 * tail)
    evaluate = points() * SAMPLES * tail
    store = row["bytes"] * (SAMPLES + CALIBRATION) / 1e9
    cells = [row["curve"], f"{row['weights'] / 1e9:.1f}", f"{row['bytes'] / 1e6:.2f}", f"{row['head'] / 1e12:.1f}",
             f"{row['tail'] / 1e12:.1f}", f"{store:.1f}", f"{(extract + gradients) / 3600:.2f}",
             f"{evaluate / 3600:.1f}"]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(f"{points()} points")
    print("| curve | weights GB | features MB a sample | head TFLOP | tail TFLOP | feature store GB | extract + "
          "sensitivity h | evaluate, all arms h |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for block in (9, 39):
        print(line(vision(f"imagenet-*.dinov3-7b.block{block}", f"block{block}", "linear-head", 1)), flush=True)
    four = "blocks9-19-29-39"
    print(line(vision(f"ade20k.dinov3-7b.{four}", four, "mask2former", WINDOWS)), flush=True)
    print(line(vision(f"nyuv2.dinov3-7b.{four}", four, "dpt", 2)), flush=True)
    for row in image():
        print(line(row), flush=True)
