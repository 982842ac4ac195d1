"""Stable Diffusion 3 and 3.5 with a ControlNet, on the classes of diffusers, cut before transformer or decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor

from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models import placing
from lamofc.models.sd3_pipeline import Pipeline
from lamofc.models.torch_arrays import to_numpy, to_torch

SPLITS = ("condition", "latent")


class Model:
    """weights: a folder with `pipeline/` (as diffusers saves SD3 pipelines) and `controlnet/`.

    split "condition": head = three text encoders and the VAE encoder on the control image; features = their outputs
    for the prompt alone (the empty negative prompt is the same for all samples, so the tail makes it itself) and the
    moments of the control image once (the pipeline doubles it for guidance).
    split "latent": head = all but the VAE decoder; feature = the final latent.
    The noise is made from `seed`, which both sides know: nothing is sent for it, and each sample has the same.
    batch: samples that go through the networks together; 1 also keeps one sample in memory at a time.
    clip_start: "send" as the paper does, or "own": the receiver makes the state of the start token itself, which
    attends to nothing before it and so is the same for every prompt.
    steps, guidance, control_scale, text_tokens: of the pipeline's call; size: side of the image in pixels;
    control_range: what 0 and 255 of the control image become, [-1, 1] for most ControlNets.
    """

    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str | None = None,
        readout_weights: Path | None = None,
        dtype: str = "float16",
        device: str = "auto",
        size: int = 1024,
        steps: int = 60,
        guidance: float = 3.5,
        control_scale: float = 1.0,
        seed: int = 42,
        text_tokens: int = 77,
        control_range: Sequence[float] = (-1.0, 1.0),
        offload: bool = False,
        batch: int = 1,
        clip_start: str = "send",
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split {split!r}: Stable Diffusion is cut at {' or '.join(SPLITS)}")
        if clip_start not in ("send", "own"):
            raise ConfigError(f"clip_start {clip_start!r} is neither send nor own")
        self.split, self.dtype, self.device = split, dtype, placing.device_of(device)
        self.batch, self.own_start = batch, clip_start == "own"
        if batch == 1:
            self.block = 1
        self.size, self.seed, self.control_range = size, seed, control_range
        call = {"num_inference_steps": steps, "guidance_scale": guidance, "max_sequence_length": text_tokens,
                "controlnet_conditioning_scale": control_scale, "height": size, "width": size}  # fmt: skip
        self.pipeline = Pipeline(Path(weights), dtype, self.device, offload, seed, call)
        self.specs = self._specs(text_tokens)

    @property
    def vae(self) -> AutoencoderKL:
        return self.pipeline.vae

    def _specs(self, text_tokens: int) -> list[TensorSpec]:
        vae, side = self.pipeline.config("vae"), self.size // self.pipeline.factor
        latent = (vae["latent_channels"], side, side)
        if self.split == "latent":
            return [TensorSpec("latent", "latent", self.dtype, latent)]
        specs = []
        for name, part in (("clip_l", "text_encoder"), ("clip_g", "text_encoder_2")):
            config = self.pipeline.config(part)
            tokens = (config["max_position_embeddings"] - self.own_start, config["hidden_size"])
            specs.append(TensorSpec(name, "embedding", self.dtype, tokens))
            specs.append(TensorSpec(f"{name}_pooled", "pooled", self.dtype, (config["projection_dim"],)))
        specs.append(
            TensorSpec("t5", "embedding", self.dtype, (text_tokens, self.pipeline.config("text_encoder_3")["d_model"]))
        )
        return [*specs, TensorSpec("control", "latent", self.dtype, (2 * latent[0], *latent[1:]))]

    @torch.inference_mode()
    def head(self, inputs: Sequence[dict[str, Any]]) -> list[Sample]:
        """inputs: {"prompt": text, "control": uint8 (height, width, 3) of the size of the image}."""
        return self._batched(self._condition if self.split == "condition" else self._latent, inputs)

    @torch.inference_mode()
    def tail(self, features: Sequence[Sample], side: Sequence[dict[str, Any]]) -> list[np.ndarray]:
        """-> images, uint8 (height, width, 3). No side input."""
        return self._batched(self._generate if self.split == "condition" else self._decode, features)

    @torch.inference_mode()
    def unsplit(self, inputs: Sequence[dict[str, Any]], side: Sequence[dict[str, Any]]) -> list[np.ndarray]:
        return self._batched(lambda some: to_pixels(self.pipeline.run("np", **self._asked(some))), inputs)

    def _batched(self, function: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any]) -> list[Any]:
        return [y for i in range(0, len(items), self.batch) for y in function(items[i : i + self.batch])]

    def _asked(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {"prompt": [i["prompt"] for i in items], "control_image": self._pixels(items)}

    def _condition(self, items: Sequence[dict[str, Any]]) -> list[Sample]:
        embeds, pooled = self.pipeline.encode([i["prompt"] for i in items])
        widths = {s.name: s.shape for s in self.specs}
        start, low, high = int(self.own_start), widths["clip_l"][1], widths["clip_g"][1]
        tokens, cut = start + widths["clip_l"][0], widths["clip_l_pooled"][0]
        found = {
            "clip_l": embeds[:, start:tokens, :low], "clip_l_pooled": pooled[:, :cut],
            "clip_g": embeds[:, start:tokens, low : low + high], "clip_g_pooled": pooled[:, cut:],
            "t5": embeds[:, tokens:], "control": self.pipeline.moments(self._pixels(items)),
        }  # fmt: skip
        return [{name: to_numpy(t[i]) for name, t in found.items()} for i in range(len(items))]

    def _latent(self, items: Sequence[dict[str, Any]]) -> list[Sample]:
        return [{"latent": to_numpy(latent)} for latent in self.pipeline.run("latent", **self._asked(items))]

    def _generate(self, samples: Sequence[Sample]) -> list[np.ndarray]:
        f = self._stacked(samples, self.pipeline.running_on)
        blank = torch.zeros(len(samples), 3, self.size, self.size)
        return to_pixels(self.pipeline.run("np", f["control"], **self._embeds(f), control_image=blank))

    @staticmethod
    def _stacked(samples: Sequence[Sample], device: torch.device) -> dict[str, torch.Tensor]:
        return {k: torch.stack([to_torch(s[k], device) for s in samples]) for k in samples[0]}

    def _embeds(self, f: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Features (batch, ...) -> the arguments of the pipeline that they are parts of."""
        clip = torch.cat([f["clip_l"], f["clip_g"]], -1)
        clip = torch.nn.functional.pad(clip, (0, f["t5"].shape[-1] - clip.shape[-1]))
        if self.own_start:  # of as many prompts as there are: the bits may depend on how many
            clip = torch.cat([self.pipeline.encode([""] * len(clip))[0][:, :1].detach(), clip], 1)
        pooled = torch.cat([f["clip_l_pooled"], f["clip_g_pooled"]], -1)
        return {"prompt_embeds": torch.cat([clip, f["t5"]], 1), "pooled_prompt_embeds": pooled}

    @property
    def net(self) -> torch.nn.ModuleList:
        """The networks that gradients of `last_feature` go through."""
        pipe = self.pipeline
        parts = [pipe.vae] if self.split == "latent" else [pipe.whole.transformer, pipe.whole.controlnet]
        return torch.nn.ModuleList(parts)

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> decoded pixels, or what the transformer predicts of the noise at half the way, with
        gradients: those through all steps would need the memory of all steps."""
        if self.split == "latent":
            config = self.vae.config
            return self.vae.decode(received["latent"] / config.scaling_factor + config.shift_factor).sample
        pipe, config = self.pipeline.whole, self.pipeline.whole.controlnet.config
        pipe.transformer.enable_gradient_checkpointing()
        embeds = self._embeds(received)
        text, pooled = embeds["prompt_embeds"], embeds["pooled_prompt_embeds"]
        shift = 0 if config.force_zeros_for_pooled_projection else pipe.vae.config.shift_factor
        mean = (received["control"].chunk(2, 1)[0] - shift) * pipe.vae.config.scaling_factor
        noise = torch.randn(mean.shape, generator=torch.Generator("cpu").manual_seed(self.seed), device="cpu").to(mean)
        when = torch.full((len(mean),), 500.0, device=mean.device)
        control = pipe.controlnet(
            hidden_states=noise, controlnet_cond=mean, timestep=when, return_dict=False,
            encoder_hidden_states=None if config.joint_attention_dim is None else text,
            pooled_projections=pooled * 0 if config.force_zeros_for_pooled_projection else pooled,
            conditioning_scale=self.pipeline.call["controlnet_conditioning_scale"],
        )[0]  # fmt: skip
        return pipe.transformer(
            hidden_states=noise, timestep=when, encoder_hidden_states=text, pooled_projections=pooled,
            block_controlnet_hidden_states=control, return_dict=False,
        )[0]  # fmt: skip

    def _decode(self, samples: Sequence[Sample]) -> list[np.ndarray]:
        latents = self._stacked(samples, self.device)["latent"]
        config = self.vae.config
        images = self.vae.decode(latents / config.scaling_factor + config.shift_factor, return_dict=False)[0]
        return to_pixels(VaeImageProcessor(vae_scale_factor=self.pipeline.factor).postprocess(images, output_type="np"))

    def _pixels(self, items: Sequence[dict[str, Any]]) -> torch.Tensor:
        low, high = self.control_range
        controls = np.stack([i["control"] for i in items])
        pixels = torch.from_numpy(controls).permute(0, 3, 1, 2).contiguous() / 255
        return pixels * (high - low) + low


def to_pixels(images: np.ndarray) -> list[np.ndarray]:
    """float [0, 1] (n, height, width, 3) -> uint8 (height, width, 3) each."""
    return list(np.rint(images * 255).astype(np.uint8))
