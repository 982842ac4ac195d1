"""The forward pass of transformers' Mamba and FalconMamba classes over a batch of equal length, made for training.

The weights are the class's own; only the selective scan and the order of the axes (time first) differ from its forward.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from lamofc.models.selective_scan import selective_scan


def logits(net: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """ids (time, batch) -> float32 logits (time, batch, vocabulary)."""
    base = net.backbone
    hidden = base.embeddings(ids)
    for block in base.layers:
        hidden = hidden + mixer(block.mixer, block.norm(hidden))
    return net.lm_head(base.norm_f(hidden))


def mixer(layer: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
    """One mixer: (time, batch, width) -> the same shape."""
    u, gate = layer.in_proj(hidden).chunk(2, -1)
    u = layer.act(_convolve(layer.conv1d, u))
    rank, states = layer.time_step_rank, layer.ssm_state_size
    dt, b, c = layer.x_proj(u).split([rank, states, states], -1)
    if hasattr(layer, "dt_layernorm"):  # FalconMamba's addition to Mamba
        dt, b, c = layer.dt_layernorm(dt), layer.b_layernorm(b), layer.c_layernorm(c)
    dt = functional.softplus(layer.dt_proj(dt))
    a = -torch.exp(layer.A_log.float()).T.contiguous()
    y = selective_scan(u.contiguous(), dt.contiguous(), a, b.contiguous(), c.contiguous())
    return layer.out_proj((y + u * layer.D) * functional.silu(gate))


def _convolve(conv: nn.Conv1d, u: torch.Tensor) -> torch.Tensor:
    """Causal depthwise convolution along axis 0, as a sum of shifted products."""
    taps = conv.weight[:, 0].T  # (width, channels), the last one for the present
    out = u * taps[-1] + conv.bias
    for back in range(1, len(taps)):
        out = out + functional.pad(u[:-back], (0, 0, 0, 0, back, 0)) * taps[-1 - back]
    return out
