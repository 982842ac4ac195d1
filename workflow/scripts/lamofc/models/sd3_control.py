"""Stable Diffusion 3 and 3.5 with a ControlNet, on the classes of diffusers, cut before transformer or decoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, SD3ControlNetModel, StableDiffusion3ControlNetPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models import placing
from lamofc.models.strided_vae import StridedAutoencoder
from lamofc.models.torch_arrays import to_numpy, to_torch, torch_dtype

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
        self.weights, self.split, self.dtype = Path(weights), split, dtype
        self.batch, self.own_start = batch, clip_start == "own"
        if batch == 1:
            self.block = 1
        self.device, self.offload = placing.device_of(device), offload
        self.size, self.seed, self.control_range = size, seed, control_range
        self.call = {"num_inference_steps": steps, "guidance_scale": guidance, "max_sequence_length": text_tokens,
                     "controlnet_conditioning_scale": control_scale, "height": size, "width": size}  # fmt: skip
        self.specs = self._specs(text_tokens)

    def _config(self, part: str) -> dict[str, Any]:
        return json.loads((self.weights / "pipeline" / part / "config.json").read_text())

    def _specs(self, text_tokens: int) -> list[TensorSpec]:
        vae, side = self._config("vae"), self.size // self._factor
        latent = (vae["latent_channels"], side, side)
        if self.split == "latent":
            return [TensorSpec("latent", "latent", self.dtype, latent)]
        specs = []
        for name, part in (("clip_l", "text_encoder"), ("clip_g", "text_encoder_2")):
            config = self._config(part)
            tokens = (config["max_position_embeddings"] - self.own_start, config["hidden_size"])
            specs.append(TensorSpec(name, "embedding", self.dtype, tokens))
            specs.append(TensorSpec(f"{name}_pooled", "pooled", self.dtype, (config["projection_dim"],)))
        specs.append(
            TensorSpec("t5", "embedding", self.dtype, (text_tokens, self._config("text_encoder_3")["d_model"]))
        )
        return [*specs, TensorSpec("control", "latent", self.dtype, (2 * latent[0], *latent[1:]))]

    @property
    def _factor(self) -> int:
        return 2 ** (len(self._config("vae")["block_out_channels"]) - 1)

    @cached_property
    @torch.inference_mode(False)  # first needed inside such a mode, whose weights could have no gradients pass
    def pipe(self) -> StableDiffusion3ControlNetPipeline:
        """The whole pipeline, loaded when first needed: a tail that only decodes latents never needs it."""
        options = {"dtype": torch_dtype(self.dtype), "local_files_only": True, "use_safetensors": True}
        control = SD3ControlNetModel.from_pretrained(self.weights / "controlnet", **options)
        own = {"vae": self.vae} if self._vae_class is StridedAutoencoder else {}  # diffusers finds its classes alone
        pipe = StableDiffusion3ControlNetPipeline.from_pretrained(
            self.weights / "pipeline", controlnet=control, **own, **options
        )
        pipe.set_progress_bar_config(disable=True)
        if self.offload:
            pipe.enable_model_cpu_offload(device=self.device)
        return pipe if self.offload else pipe.to(self.device)

    @cached_property
    @torch.inference_mode(False)
    def vae(self) -> AutoencoderKL:
        if "pipe" in self.__dict__:
            return self.pipe.vae
        return placing.load(self._vae_class, self.weights / "pipeline" / "vae", self.dtype, str(self.device))

    @property
    def _vae_class(self) -> type:
        named = self._config("vae").get("_class_name")
        return StridedAutoencoder if named == StridedAutoencoder.__name__ else AutoencoderKL

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
        return self._batched(lambda some: to_pixels(self._run("np", **self._asked(some))), inputs)

    def _batched(self, function: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any]) -> list[Any]:
        return [y for i in range(0, len(items), self.batch) for y in function(items[i : i + self.batch])]

    def _asked(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {"prompt": [i["prompt"] for i in items], "control_image": self._pixels(items)}

    def _encode(self, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, _, pooled, _ = self.pipe.encode_prompt(
            prompts, None, None, do_classifier_free_guidance=False, device=self.pipe._execution_device,
            max_sequence_length=self.call["max_sequence_length"],
        )  # fmt: skip
        return tokens, pooled

    def _condition(self, items: Sequence[dict[str, Any]]) -> list[Sample]:
        embeds, pooled = self._encode([i["prompt"] for i in items])
        widths = {s.name: s.shape for s in self.specs}
        start, low, high = int(self.own_start), widths["clip_l"][1], widths["clip_g"][1]
        tokens, cut = start + widths["clip_l"][0], widths["clip_l_pooled"][0]
        pixels = self._pixels(items)
        # Guidance makes the pipeline encode each image twice at once: the bits may depend on how many there are.
        pixels = torch.cat([pixels, pixels]) if self.pipe_guides else pixels
        moments = self.pipe.vae.encode(pixels.to(self.pipe._execution_device, torch_dtype(self.dtype))).latent_dist
        found = {
            "clip_l": embeds[:, start:tokens, :low], "clip_l_pooled": pooled[:, :cut],
            "clip_g": embeds[:, start:tokens, low : low + high], "clip_g_pooled": pooled[:, cut:],
            "t5": embeds[:, tokens:], "control": moments.parameters,
        }  # fmt: skip
        return [{name: to_numpy(t[i]) for name, t in found.items()} for i in range(len(items))]

    def _latent(self, items: Sequence[dict[str, Any]]) -> list[Sample]:
        return [{"latent": to_numpy(latent)} for latent in self._run("latent", **self._asked(items))]

    @property
    def pipe_guides(self) -> bool:
        return self.call["guidance_scale"] > 1

    def _generate(self, samples: Sequence[Sample]) -> list[np.ndarray]:
        f = self._stacked(samples, self.pipe._execution_device)
        blank = torch.zeros(len(samples), 3, self.size, self.size)
        return to_pixels(self._run("np", f["control"], **self._embeds(f), control_image=blank))

    @staticmethod
    def _stacked(samples: Sequence[Sample], device: torch.device) -> dict[str, torch.Tensor]:
        return {k: torch.stack([to_torch(s[k], device) for s in samples]) for k in samples[0]}

    def _embeds(self, f: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Features (batch, ...) -> the arguments of the pipeline that they are parts of."""
        clip = torch.cat([f["clip_l"], f["clip_g"]], -1)
        clip = torch.nn.functional.pad(clip, (0, f["t5"].shape[-1] - clip.shape[-1]))
        if self.own_start:  # of as many prompts as there are: the bits may depend on how many
            clip = torch.cat([self._encode([""] * len(clip))[0][:, :1].detach(), clip], 1)
        pooled = torch.cat([f["clip_l_pooled"], f["clip_g_pooled"]], -1)
        return {"prompt_embeds": torch.cat([clip, f["t5"]], 1), "pooled_prompt_embeds": pooled}

    def _run(self, output_type: str, received: torch.Tensor | None = None, **what: Any) -> Any:
        """The library's own call, each sample from the seed."""
        pipe = self.pipe
        count = len(what["control_image"])
        generators = [torch.Generator("cpu").manual_seed(self.seed) for _ in range(count)]
        with self._control(received):
            return pipe(**what, **self.call, generator=generators, output_type=output_type).images

    @contextmanager
    def _control(self, received: torch.Tensor | None = None):
        """The pipeline takes the received moments where it would encode the control images.

        Without received ones it encodes, and the moments are laid out as received ones are: the layout of a
        convolution's result is the backend's choice, and in half precision later results depend on it.
        """
        vae = self.pipe.vae
        encoded = vae.encode

        def encode(pixels: torch.Tensor) -> Any:
            if received is None:
                own = encoded(pixels).latent_dist.parameters
            else:
                own = received.repeat(len(pixels) // len(received), 1, 1, 1)  # guidance takes each twice
            return SimpleNamespace(latent_dist=_Moments(own.contiguous(), self.seed))

        vae.encode = encode
        try:
            yield
        finally:
            del vae.encode

    @property
    def net(self) -> torch.nn.ModuleList:
        """The networks that gradients of `last_feature` go through."""
        parts = [self.vae] if self.split == "latent" else [self.pipe.transformer, self.pipe.controlnet]
        return torch.nn.ModuleList(parts)

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> decoded pixels, or what the transformer predicts of the noise at half the way, with
        gradients: those through all steps would need the memory of all steps."""
        if self.split == "latent":
            config = self.vae.config
            return self.vae.decode(received["latent"] / config.scaling_factor + config.shift_factor).sample
        pipe, config = self.pipe, self.pipe.controlnet.config
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
            conditioning_scale=self.call["controlnet_conditioning_scale"],
        )[0]  # fmt: skip
        return pipe.transformer(
            hidden_states=noise, timestep=when, encoder_hidden_states=text, pooled_projections=pooled,
            block_controlnet_hidden_states=control, return_dict=False,
        )[0]  # fmt: skip

    def _decode(self, samples: Sequence[Sample]) -> list[np.ndarray]:
        latents = self._stacked(samples, self.device)["latent"]
        config = self.vae.config
        images = self.vae.decode(latents / config.scaling_factor + config.shift_factor, return_dict=False)[0]
        return to_pixels(VaeImageProcessor(vae_scale_factor=self._factor).postprocess(images, output_type="np"))

    def _pixels(self, items: Sequence[dict[str, Any]]) -> torch.Tensor:
        low, high = self.control_range
        controls = np.stack([i["control"] for i in items])
        pixels = torch.from_numpy(controls).permute(0, 3, 1, 2).contiguous() / 255
        return pixels * (high - low) + low


class _Moments(DiagonalGaussianDistribution):
    """Draws the same noise for every sample, whatever stands beside it in a batch."""

    def __init__(self, parameters: torch.Tensor, seed: int) -> None:
        super().__init__(parameters)
        self.seed = seed

    def sample(self, generator: torch.Generator | None = None) -> torch.Tensor:
        own = torch.Generator("cpu").manual_seed(self.seed)
        noise = torch.randn(self.mean.shape[1:], generator=own, device="cpu", dtype=self.mean.dtype)
        return self.mean + self.std * noise.to(self.mean.device)


def to_pixels(images: np.ndarray) -> list[np.ndarray]:
    """float [0, 1] (n, height, width, 3) -> uint8 (height, width, 3) each."""
    return list(np.rint(images * 255).astype(np.uint8))
