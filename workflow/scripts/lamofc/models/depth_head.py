"""A small convolutional depth head on token maps of several blocks: a thin sibling of DPT (arXiv:2103.13413)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SCALE = 4  # rows and columns of log-depth per patch
DROPPED = 0.1  # share of channels left out while it is trained


class DepthHead(nn.Module):
    """Maps (batch, width, rows, columns) -> depth in metres (batch, height, width).

    The blocks' maps are mixed by one projection, the picture's mean joins every patch, two residual convolutions
    look around, and log-depth is read at four times the patches' resolution. `mean`, `deviation` (width,)
    standardise the maps and are kept with the weights.
    """

    def __init__(self, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.project = nn.Conv2d(width, hidden, 1)
        self.overall = nn.Linear(hidden, hidden)
        self.around = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, padding=1) for _ in range(2))
        self.fine = nn.Conv2d(hidden, hidden // 2, 3, padding=1)
        self.out = nn.Conv2d(hidden // 2, 1, 1)

    def log_depth(self, maps: Tensor) -> Tensor:
        """-> (batch, SCALE * rows, SCALE * columns)."""
        act = nn.functional.gelu
        x = (maps - self.mean.view(1, -1, 1, 1)) / self.deviation.view(1, -1, 1, 1)
        x = self.project(nn.functional.dropout2d(x, DROPPED, self.training))
        x = x + self.overall(act(x).mean((2, 3)))[:, :, None, None]
        for convolution in self.around:
            x = x + convolution(act(x))
        x = nn.functional.interpolate(act(x), scale_factor=SCALE, mode="bilinear", align_corners=False)
        return self.out(act(self.fine(x)))[:, 0]

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        coarse = self.log_depth(maps)[:, None]
        return nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)[:, 0].exp()
