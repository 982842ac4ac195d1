"""One token through a Mamba mixer, written without overwriting its states: for gradients with respect to them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def step(
    layer: nn.Module, hidden: torch.Tensor, conv: torch.Tensor, ssm: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """hidden (batch, width), conv (batch, inner, kernel), ssm (batch, inner, state) -> output and both states."""
    u, gate = layer.in_proj(hidden).chunk(2, -1)
    conv = torch.cat([conv[..., 1:], u[..., None]], -1)
    u = layer.act((conv * layer.conv1d.weight[:, 0]).sum(-1) + (layer.conv1d.bias if layer.use_conv_bias else 0))
    dt, b, c = layer.x_proj(u).split([layer.time_step_rank, layer.ssm_state_size, layer.ssm_state_size], -1)
    if hasattr(layer, "dt_layernorm"):  # FalconMamba's addition to Mamba
        dt, b, c = layer.dt_layernorm(dt), layer.b_layernorm(b), layer.c_layernorm(c)
    dt = functional.softplus(layer.dt_proj(dt))[..., None]
    ssm = torch.exp(-dt * torch.exp(layer.A_log.float())) * ssm + dt * u[..., None] * b[:, None]
    y = (ssm * c[:, None]).sum(-1) + u * layer.D
    return layer.out_proj(y * functional.silu(gate)), conv, ssm
