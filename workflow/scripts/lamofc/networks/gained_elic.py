"""The trainable form of ELIC: CompressAI's class with one channel, shared by a ladder of lambdas through gains.

Imported by training alone; coding uses `lamofc.networks.elic`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from compressai.entropy_models import GaussianConditional
from compressai.layers import AttentionBlock
from compressai.models.sensetime import Elic2022Official, ResidualBottleneckBlock
from compressai.models.utils import conv, deconv
from compressai.ops import quantize_ste
from torch import nn

from lamofc.networks.gained import Ladder, start_as_packets
from lamofc.networks.structure import older_contexts

_ORIGINAL = {"n": 192, "widths": (224, 128)}  # of the channel contexts
_GATE = -6.0  # logit of the attention's gates at the start: they let nearly nothing through
_QUIET = 0.1  # factor of the last weights of the entropy parameters at the start


class GainedElic(Ladder, Elic2022Official):
    """Lambda k sees y scaled by gain.y[k] before rounding and by gain.y_inverse[k] after it; z likewise.

    Contexts see latents, and predict means and scales, in units before the gain: nearly the same for all lambdas. The
    start is the orthonormal transform of `GainedHyperprior`, since residual blocks and attention begin as identities.
    """

    coarse = ("latent_codec.", "g_a.8.", "g_a.14.", "g_s.0.", "g_s.6.")
    kept = ("g_a.", "g_s.", "latent_codec.")

    def __init__(self, n: int, m: int, lambdas: Sequence[float]) -> None:
        super().__init__(n, m, group_sizes(m))
        self.g_a[0], self.g_s[14] = conv(1, n), deconv(n, 1)
        self.hyper.entropy_bottleneck = None
        self._narrow_contexts(n)
        self._add_lambdas(n, m, lambdas)
        with torch.no_grad():
            self._start_as_packets()

    @property
    def y(self) -> nn.Module:
        return self.latent_codec.y

    @property
    def hyper(self) -> nn.Module:
        return self.latent_codec.hyper

    @property
    def conditional(self) -> GaussianConditional:
        return self.y["y0"].y.gaussian_conditional

    def forward(self, x: torch.Tensor, k: int) -> dict[str, torch.Tensor]:
        """Planes (batch, 1, height, width) at lambda k -> x_hat and the likelihoods of y and z.

        Rate is that of latents with noise, distortion that of rounded ones, as published.
        """
        gain = self.gains(k)
        y = self.g_a(x)
        z = self.hyper.h_a(y) * gain["z"]
        _, p_z = self.bottlenecks[k](z)
        medians = self.bottlenecks[k].quantiles[:, :, 1:2].detach().reshape(1, -1, 1, 1)
        z_hat = (quantize_ste(z - medians) + medians) * gain["z_inverse"]
        hyper = self.hyper.h_s(z_hat)[:, :, : y.shape[2], : y.shape[3]]
        y_hat, p_y = self._latents(y, hyper, gain)
        return {"x_hat": self.g_s(y_hat), "y": p_y, "z": p_z}

    def _latents(
        self, y: torch.Tensor, hyper: torch.Tensor, gain: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rounded latents and likelihoods of y, (batch, m, height, width)."""
        done, likely = [], []
        columns = torch.arange(y.shape[3])
        even = (torch.arange(y.shape[2])[:, None] + columns) % 2 == 0
        parts = zip(*(t.split(self.groups, 1) for t in (y, gain["y"], gain["y_inverse"])), strict=True)
        for k, (own, up, down) in enumerate(parts):
            known = hyper if not k else torch.cat([self.y.channel_context[f"y{k}"](torch.cat(done, 1)), hyper], 1)
            codec = self.y[f"y{k}"]
            silence = own.new_zeros(len(own), 2 * own.shape[1], *own.shape[2:])
            anchors = codec.entropy_parameters(torch.cat([silence, known], 1))
            _, means = (p * up for p in anchors.chunk(2, 1))
            rounded = (quantize_ste(own * up - means) + means) * down * even
            others = codec.entropy_parameters(torch.cat([codec.context_prediction(rounded), known], 1))
            scales, means = (p * up for p in torch.where(even, anchors, others).chunk(2, 1))
            done.append((quantize_ste(own * up - means) + means) * down)
            likely.append(self.conditional(own * up, scales, means)[1])
        return torch.cat(done, 1), torch.cat(likely, 1)

    @torch.no_grad()
    def start_from(self, x: torch.Tensor) -> None:
        """Set predicted means and scales and the gains of z to what these planes show, before the first step."""
        y = self.g_a(x)
        self.set_spread_of_z(self.hyper.h_a(y))
        for k, own in enumerate(y.split(self.groups, 1)):
            last = self.y[f"y{k}"].entropy_parameters[-1]
            last.weight.mul_(_QUIET)
            last.bias.copy_(torch.cat([own.std((0, 2, 3)).clamp(min=1e-3), own.mean((0, 2, 3))]))

    @torch.no_grad()
    def export(self) -> dict[str, np.ndarray]:
        """As `Ladder.export`; taps that the checkerboard masks are zero."""
        for k in range(len(self.groups)):
            context = self.y[f"y{k}"].context_prediction
            context.weight.mul_(context.mask)
        return super().export()

    def _narrow_contexts(self, n: int) -> None:
        """Channel contexts as wide, beside n, as the published ones."""
        first, second = (max(1, round(w * n / _ORIGINAL["n"])) for w in _ORIGINAL["widths"])
        for k, heard in enumerate(accumulate(self.groups[:-1]), 1):
            self.y.channel_context[f"y{k}"] = nn.Sequential(
                conv(heard, first, stride=1), nn.ReLU(), conv(first, second, stride=1), nn.ReLU(),
                conv(second, 2 * self.groups[k], stride=1),
            )  # fmt: skip

    def _start_as_packets(self) -> None:
        start_as_packets([self.g_a[i] for i in (0, 4, 9, 13)], [self.g_s[i] for i in (1, 5, 10, 14)])
        for layer in [*self.g_a, *self.g_s]:
            if isinstance(layer, ResidualBottleneckBlock):
                layer.conv3.weight.zero_()
                layer.conv3.bias.zero_()
            if isinstance(layer, AttentionBlock):
                layer.conv_b[3].weight.zero_()
                layer.conv_b[3].bias.fill_(_GATE)


class GainedPaperElic(GainedElic):
    """With the wider channel contexts of the paper's network."""

    def _narrow_contexts(self, n: int) -> None:
        self.y.channel_context.update(older_contexts(n, self.groups))


def group_sizes(m: int) -> list[int]:
    """Channels of the five groups: 16, 16, 32, 64 and the rest, as published; fewer where m is small."""
    unit = max(1, min(16, m // 16))
    return [unit, unit, 2 * unit, 4 * unit, m - 8 * unit]
