"""The network of typeseg's tagger: bidirectional S6 blocks over the bytes of a text (Mamba, arXiv:2312.00752)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional

from lamofc.models.selective_scan import selective_scan

ASCII, OTHER, PADDING = 128, 128, 129  # rows of the embedding: the ASCII bytes, any other byte, padding
LEAST_STEP = 1e-4  # added to every time step


@dataclass(frozen=True)
class Sizes:
    width: int
    state: int
    rank: int
    kernel: int
    blocks: int
    labels: int

    as_dict = asdict


class Block(nn.Module):
    """(batch, bytes, width) -> the same shape. One set of weights scans forwards and backwards, the results add up:
    every byte's output depends on the whole text, and no state is left over at either end."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.s = s
        self.norm = nn.LayerNorm(s.width, eps=1e-6)
        self.in_proj = nn.Linear(s.width, 2 * s.width)
        self.conv = nn.Conv1d(s.width, s.width, s.kernel, groups=s.width)
        self.x_proj = nn.Linear(s.width, s.rank + 2 * s.state)
        self.dt_proj = nn.Linear(s.rank, s.width)
        self.A_log = nn.Parameter(torch.empty(s.width, s.state))
        self.D = nn.Parameter(torch.empty(s.width))
        self.out_proj = nn.Linear(s.width, s.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, gate = self.in_proj(self.norm(x)).chunk(2, -1)
        before = (self.s.kernel - 1) // 2
        padded = functional.pad(u.transpose(1, 2), (before, self.s.kernel - 1 - before))
        u = functional.silu(self.conv(padded)).permute(2, 0, 1)  # (bytes, batch, width)
        dt, b, c = self.x_proj(u).split([self.s.rank, self.s.state, self.s.state], -1)
        dt = functional.softplus(self.dt_proj(dt)) + LEAST_STEP
        a = -torch.exp(self.A_log.T).contiguous()
        there = selective_scan(*(t.contiguous() for t in (u, dt)), a, *(t.contiguous() for t in (b, c)))
        back = selective_scan(u.flip(0), dt.flip(0), a, b.flip(0), c.flip(0)).flip(0)
        y = there + back + 2 * u * self.D
        return x + self.out_proj(y.transpose(0, 1) * functional.silu(gate))


class Tagger(nn.Module):
    """Bytes (batch, bytes) -> logits (batch, bytes, labels)."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.embed = nn.Embedding(PADDING + 1, s.width)
        self.blocks = nn.ModuleList(Block(s) for _ in range(s.blocks))
        self.norm = nn.LayerNorm(s.width, eps=1e-6)
        self.head = nn.Linear(s.width, s.labels)

    def start(self, values: torch.Tensor) -> torch.Tensor:
        """Bytes 0..255 -> what the first block reads."""
        return self.embed(torch.where(values < ASCII, values, OTHER))
