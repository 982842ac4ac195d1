"""The trainable form: CompressAI's scale hyperprior with one channel, shared by a ladder of lambdas through gains.

Imported by training alone; coding uses `lamofc.networks.scale_hyperprior`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneck, EntropyModel, GaussianConditional
from compressai.layers import GDN
from compressai.models import ScaleHyperprior
from compressai.models.base import get_scale_table
from compressai.models.utils import conv, deconv
from torch import nn

from lamofc.networks.files import SHARED, lambda_name, shortened
from lamofc.networks.rans import Tables

_GAIN_SPEED = 10.0  # gains are exp(this x parameter): they move that much faster than weights
_Z_RANGE = 3  # of the hyper-latents at the start, whose standard deviation is one
_GAMMA = 0.01  # of the GDN layers at the start: nearly linear, since planes are not images
# At high rate, a step of 1 / sqrt(lambda x this) balances d(rate) and lambda x 255^2 x d(MSE).
_HIGH_RATE = 2 * math.log(2) * 255**2 / 12


class Ladder:
    """What networks that a ladder of lambdas shares have in common: a bottleneck and gains for each lambda.

    Mixed into a network of CompressAI's, whose own hyper-latents' bottleneck it stands for.
    """

    def _add_lambdas(self, n: int, m: int, lambdas: Sequence[float]) -> None:
        self.lambdas = tuple(lambdas)
        self.bottlenecks = nn.ModuleList(EntropyBottleneck(n, init_scale=_Z_RANGE) for _ in lambdas)
        start = torch.log(torch.tensor([[(_HIGH_RATE * x) ** 0.5] for x in lambdas])) / _GAIN_SPEED
        self.log_gain = nn.ParameterDict(
            {
                "y": nn.Parameter(start.repeat(1, m)),
                "y_inverse": nn.Parameter(-start.repeat(1, m)),
                "z": nn.Parameter(torch.zeros(len(lambdas), n)),
                "z_inverse": nn.Parameter(torch.zeros(len(lambdas), n)),
            }
        )

    def gains(self, k: int) -> dict[str, torch.Tensor]:
        """Factors of lambda k, (1, channels, 1, 1)."""
        return {name: (_GAIN_SPEED * g[k]).exp().reshape(1, -1, 1, 1) for name, g in self.log_gain.items()}

    @torch.no_grad()
    def set_spread_of_z(self, z: torch.Tensor) -> None:
        """Gains that give these hyper-latents a standard deviation of one."""
        spread = z.std((0, 2, 3)).nan_to_num(1.0).clamp(min=1e-4)
        for name, sign in (("z", -1), ("z_inverse", 1)):
            self.log_gain[name].copy_((sign / _GAIN_SPEED * torch.log(spread)).expand_as(self.log_gain[name]))

    def aux_loss(self) -> torch.Tensor:
        return sum(b.loss() for b in self.bottlenecks)

    @torch.no_grad()
    def export(self) -> dict[str, np.ndarray]:
        """Arrays of a network file: weights as `files.shortened` keeps them, gains and medians in float32, integer
        tables."""
        model = self.conditional
        model.update_scale_table(get_scale_table(), force=True)
        home = lambda_name(self.lambdas[0]) if len(self.lambdas) == 1 else SHARED
        weights = {n: p.numpy() for n, p in self.named_parameters() if n.startswith(self.kept)}
        out = {f"{home}/{n}": a for n, a in shortened(weights, self.coarse).items()}
        out[f"{home}/scale_table"] = model.scale_table.numpy()
        out |= tables(f"{home}/y", model)
        for k, lmbda in enumerate(self.lambdas):
            own, bottleneck = lambda_name(lmbda), self.bottlenecks[k]
            bottleneck.update(force=True, update_quantiles=True)
            out[f"{own}/medians"] = bottleneck.quantiles[:, 0, 1].numpy().copy()
            out |= tables(f"{own}/z", bottleneck)
            out |= {f"{own}/gain.{n}": (_GAIN_SPEED * g[k]).exp().numpy() for n, g in self.log_gain.items()}
        return out


class GainedHyperprior(Ladder, ScaleHyperprior):
    """Lambda k sees y scaled by gain.y[k] before rounding and by gain.y_inverse[k] after it; z likewise.

    With one lambda it is the plain network. The start is an orthonormal Haar packet transform of 16x16 blocks
    (as far as n and m have room), which keeps every plane's information and is learned away from.
    """

    coarse = ("h_a.", "h_s.")
    kept = ("g_a.", "g_s.", *coarse)

    def __init__(self, n: int, m: int, lambdas: Sequence[float]) -> None:
        super().__init__(n, m)
        self.g_a[0], self.g_s[6] = conv(1, n), deconv(n, 1)
        self.entropy_bottleneck = None
        self._add_lambdas(n, m, lambdas)
        with torch.no_grad():
            self._start_as_packets()

    @property
    def conditional(self) -> GaussianConditional:
        return self.gaussian_conditional

    def forward(self, x: torch.Tensor, k: int) -> dict[str, torch.Tensor]:
        """Planes (batch, 1, height, width) at lambda k -> x_hat and the likelihoods of y and z."""
        gain = self.gains(k)
        y = self.g_a(x)
        z = self.h_a(y.abs()) * gain["z"]
        z_hat, p_z = self.bottlenecks[k](z)
        scales = self.h_s(z_hat * gain["z_inverse"])[:, :, : y.shape[2], : y.shape[3]] * gain["y"]
        y_hat, p_y = self.gaussian_conditional(y * gain["y"], scales)
        return {"x_hat": self.g_s(y_hat * gain["y_inverse"]), "y": p_y, "z": p_z}

    @torch.no_grad()
    def start_from(self, x: torch.Tensor) -> None:
        """Set predicted scales and the gains of z to what these planes show, before the first step."""
        y = self.g_a(x)
        self.h_s[4].bias.copy_(y.std((0, 2, 3)).clamp(min=1e-3))
        self.set_spread_of_z(self.h_a(y.abs()))

    def _start_as_packets(self) -> None:
        start_as_packets([self.g_a[i] for i in (0, 2, 4, 6)], [self.g_s[i] for i in (0, 2, 4, 6)])
        for net in (self.g_a, self.g_s):
            for layer in net:
                if isinstance(layer, GDN):
                    layer.gamma.copy_(layer.gamma_reparam.init(_GAMMA * torch.eye(layer.gamma.shape[0])))


@torch.no_grad()
def start_as_packets(analysis: Sequence[nn.Conv2d], synthesis: Sequence[nn.ConvTranspose2d]) -> None:
    """Make the four convolutions of each side an orthonormal Haar packet transform of planes of mean 1/2, and back."""
    for stage, (down, up) in enumerate(zip(analysis, reversed(synthesis), strict=True)):
        _haar(down.weight, stage, synthesis=False)
        _haar(up.weight, stage, synthesis=True)
        down.bias.zero_()
        up.bias.zero_()
    analysis[0].bias[0] = -1.0  # a 2x2 mean has norm 2
    synthesis[-1].bias.fill_(0.5)


def _haar(weight: torch.Tensor, stage: int, synthesis: bool) -> None:
    """2x2 orthonormal Haar bands of the channels in use; band b of channel c is channel b x (channels in use) + c of
    the deep side, so that low frequencies come first. `weight` is (deep, shallow, 5, 5) in both directions. The other
    channels keep their small random weights, and nothing listens to them yet."""
    deep, used = weight.shape[0], min(4**stage, weight.shape[1])
    heard = min(4 * used, deep)
    if synthesis:
        weight[:, :used] = 0
    else:
        weight[:heard] = 0
    signs = torch.tensor([[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]])
    at = torch.arange(heard)
    weight[at, at % used, 2:4, 2:4] = signs[at // used] / 2


def tables(prefix: str, model: EntropyModel) -> dict[str, np.ndarray]:
    """Arrays <prefix>.<field> of an updated entropy model's frequency tables."""
    cdf, sizes, offsets = (t.numpy() for t in (model.quantized_cdf, model.cdf_length, model.offset))
    made = Tables.from_cdfs(cdf, sizes.ravel(), offsets.ravel())
    return {f"{prefix}.{f.name}": getattr(made, f.name) for f in fields(made)}
