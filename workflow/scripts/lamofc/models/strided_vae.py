"""A small autoencoder behind the interface of diffusers' AutoencoderKL: strided convolutions, pixels shuffled back.

Group normalisation takes the colours of flat drawings away, and convolutions at full size take time: it has neither.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import nn


class StridedAutoencoder(ModelMixin, ConfigMixin):
    """block_out_channels: widths from the pixels inwards; each but the last halves the side. At 1/4 of the side a
    residual block on either end. scaling_factor and shift_factor as of AutoencoderKL."""

    @register_to_config
    def __init__(
        self,
        block_out_channels: list[int] = (12, 24, 48),
        latent_channels: int = 4,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()
        first, *inner = block_out_channels
        halvings, wide, before = [], inner[-1], 3
        for width in inner:
            halvings += [nn.Conv2d(before, width, 4, 2, 1), nn.SiLU()]
            before = width
        self.encoder = nn.Sequential(*halvings, Residual(wide), nn.Conv2d(wide, 2 * latent_channels, 1))
        doublings, before = [], wide
        for width in [*inner[-2::-1], first]:
            doublings += [nn.Conv2d(before, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.SiLU()]
            before = width
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, wide, 3, 1, 1), Residual(wide), *doublings, nn.Conv2d(first, 3, 3, 1, 1)
        )

    def encode(self, x: torch.Tensor, return_dict: bool = True) -> Any:
        posterior = DiagonalGaussianDistribution(self.encoder(x))
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode(self, z: torch.Tensor, return_dict: bool = True, generator: Any = None) -> Any:
        sample = self.decoder(z)
        return DecoderOutput(sample=sample) if return_dict else (sample,)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1)
        )
        nn.init.zeros_(self.body[-1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)
