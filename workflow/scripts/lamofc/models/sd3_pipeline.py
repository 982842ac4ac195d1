"""The pipeline of Stable Diffusion 3 with a ControlNet as the library has it, made to repeat itself and to be fed."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import AutoencoderKL, SD3ControlNetModel, StableDiffusion3ControlNetPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from lamofc.models import placing
from lamofc.models.strided_vae import StridedAutoencoder
from lamofc.models.torch_arrays import torch_dtype


class Pipeline:
    """weights: a folder with `pipeline/` and `controlnet/`; call: arguments of every run of the pipeline.

    Each sample is drawn from `seed`, whatever stands beside it in a batch. offload: parts wait in main memory.
    """

    def __init__(
        self, weights: Path, dtype: str, device: torch.device, offload: bool, seed: int, call: dict[str, Any]
    ) -> None:
        self.weights, self.dtype, self.device, self.offload = weights, dtype, device, offload
        self.seed, self.call = seed, call

    def config(self, part: str) -> dict[str, Any]:
        """config.json of a part, which needs no weights."""
        return json.loads((self.weights / "pipeline" / part / "config.json").read_text())

    @property
    def factor(self) -> int:
        """Pixels per latent along a side."""
        return 2 ** (len(self.config("vae")["block_out_channels"]) - 1)

    @property
    def guides(self) -> bool:
        return self.call["guidance_scale"] > 1

    @property
    def running_on(self) -> torch.device:
        return self.whole._execution_device

    @cached_property
    @torch.inference_mode(False)  # first needed inside such a mode, whose weights could have no gradients pass
    def whole(self) -> StableDiffusion3ControlNetPipeline:
        """All networks, loaded when first needed: a tail that only decodes latents never needs them."""
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
        if "whole" in self.__dict__:
            return self.whole.vae
        return placing.load(self._vae_class, self.weights / "pipeline" / "vae", self.dtype, str(self.device))

    @property
    def _vae_class(self) -> type:
        named = self.config("vae").get("_class_name")
        return StridedAutoencoder if named == StridedAutoencoder.__name__ else AutoencoderKL

    def encode(self, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """-> states of all text encoders (batch, tokens, width) and pooled vectors (batch, width)."""
        tokens, _, pooled, _ = self.whole.encode_prompt(
            prompts, None, None, do_classifier_free_guidance=False, device=self.running_on,
            max_sequence_length=self.call["max_sequence_length"],
        )  # fmt: skip
        return tokens, pooled

    def moments(self, pixels: torch.Tensor) -> torch.Tensor:
        """Control images (batch, 3, height, width) -> mean and log-variance of their latents, twice where guided:
        the pipeline encodes each twice at once, and the bits may depend on how many there are."""
        pixels = torch.cat([pixels, pixels]) if self.guides else pixels
        return self.whole.vae.encode(pixels.to(self.running_on, torch_dtype(self.dtype))).latent_dist.parameters

    def run(self, output_type: str, received: torch.Tensor | None = None, **what: Any) -> Any:
        """The library's own call, each sample from the seed; `received`: moments in place of control images."""
        generators = [torch.Generator("cpu").manual_seed(self.seed) for _ in what["control_image"]]
        with self._control(received):
            return self.whole(**what, **self.call, generator=generators, output_type=output_type).images

    @contextmanager
    def _control(self, received: torch.Tensor | None = None):
        """The pipeline takes the received moments where it would encode the control images.

        Without received ones it encodes, and the moments are laid out as received ones are: the layout of a
        convolution's result is the backend's choice, and in half precision later results depend on it.
        """
        vae = self.whole.vae
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


class _Moments(DiagonalGaussianDistribution):
    """Draws the same noise for every sample, whatever stands beside it in a batch."""

    def __init__(self, parameters: torch.Tensor, seed: int) -> None:
        super().__init__(parameters)
        self.seed = seed

    def sample(self, generator: torch.Generator | None = None) -> torch.Tensor:
        own = torch.Generator("cpu").manual_seed(self.seed)
        noise = torch.randn(self.mean.shape[1:], generator=own, device="cpu", dtype=self.mean.dtype)
        return self.mean + self.std * noise.to(self.mean.device)
