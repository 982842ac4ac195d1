"""The depth head of dense prediction transformers (Ranftl et al. 2021, arXiv:2103.13413) as DINOv2 and DINOv3 use it.

Names of submodules are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class DptHead(nn.Module):
    """Four token maps on one grid -> depth in metres (views, 1, 8 rows, 8 columns), by weights of equidistant depths.

    channels: of each level after its projection; fused: of the fusion path; bins: depths from `nearest` to `farthest`.
    """

    def __init__(
        self,
        width: int,
        channels: Sequence[int] = (2048, 2048, 2048, 2048),
        fused: int = 512,
        bins: int = 256,
        hidden: int = 32,
        nearest: float = 0.001,
        farthest: float = 100.0,
        batchnorm: bool = True,
    ) -> None:
        super().__init__()
        self.bins, self.nearest, self.farthest = bins, nearest, farthest
        self.reassemble_blocks = _Reassemble(width, channels, batchnorm)
        self.convs = nn.ModuleList(_Convolution(c, fused, 3, bias=False) for c in channels)
        self.fusion_blocks = nn.ModuleList(_Fusion(fused, i > 0, batchnorm) for i in range(len(channels)))
        self.project = _Convolution(fused, fused, 3, bias=not batchnorm, batchnorm=batchnorm, active=True)
        self.conv_depth = nn.ModuleDict({"head": nn.Sequential(
            nn.Conv2d(fused, fused // 2, 3, 1, 1), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(fused // 2, hidden, 3, 1, 1), nn.ReLU(), nn.Conv2d(hidden, bins, 1),
        )})  # fmt: skip

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        levels = [c(m) for c, m in zip(self.convs, self.reassemble_blocks(maps), strict=True)]
        path = self.fusion_blocks[0](levels[-1])
        for block, level in zip(self.fusion_blocks[1:], reversed(levels[:-1]), strict=True):
            path = block(path, level)
        logits = self.conv_depth["head"](self.project(path)).relu().float() + 0.1
        depths = torch.linspace(self.nearest, self.farthest, self.bins, device=logits.device)
        return torch.einsum("vbhw,b->vhw", logits / logits.sum(1, keepdim=True), depths)[:, None]


class _Reassemble(nn.Module):
    """Levels at 4, 2, 1 and 1/2 times the grid."""

    def __init__(self, width: int, channels: Sequence[int], batchnorm: bool) -> None:
        super().__init__()
        self.projects = nn.ModuleList(_Convolution(width, c, 1) for c in channels)
        self.resize_layers = nn.ModuleList([
            nn.ConvTranspose2d(channels[0], channels[0], 4, 4), nn.ConvTranspose2d(channels[1], channels[1], 2, 2),
            nn.Identity(), nn.Conv2d(channels[3], channels[3], 3, 2, 1),
        ])  # fmt: skip
        self.batchnorm_layers = nn.ModuleList(nn.BatchNorm2d(width) for _ in channels) if batchnorm else None

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        norms = self.batchnorm_layers or [nn.Identity()] * len(maps)
        parts = zip(maps, norms, self.projects, self.resize_layers, strict=True)
        return [resize(project(norm(m))) for m, norm, project, resize in parts]


class _Convolution(nn.Module):
    """Convolution, norm, activation; the activation comes first where `before` is set."""

    def __init__(
        self, wide: int, narrow: int, side: int, bias: bool = True, batchnorm: bool = False,
        active: bool = False, before: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(wide, narrow, side, 1, side // 2, bias=bias)
        self.bn = nn.BatchNorm2d(narrow) if batchnorm else None
        self.active, self.before = active, before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x.relu() if self.before else x)
        x = self.bn(x) if self.bn is not None else x
        return x.relu() if self.active else x


class _Residual(nn.Module):
    def __init__(self, channels: int, batchnorm: bool) -> None:
        super().__init__()
        options = {"bias": not batchnorm, "batchnorm": batchnorm, "before": True}
        self.conv1, self.conv2 = (_Convolution(channels, channels, 3, **options) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(self.conv1(x))


class _Fusion(nn.Module):
    def __init__(self, channels: int, two: bool, batchnorm: bool) -> None:
        super().__init__()
        self.project = _Convolution(channels, channels, 1)
        self.res_conv_unit1 = _Residual(channels, batchnorm) if two else None
        self.res_conv_unit2 = _Residual(channels, batchnorm)

    def forward(self, path: torch.Tensor, level: torch.Tensor | None = None) -> torch.Tensor:
        if level is not None:
            if level.shape != path.shape:
                level = nn.functional.interpolate(level, path.shape[-2:], mode="bilinear", align_corners=False)
            path = path + self.res_conv_unit1(level)
        path = nn.functional.interpolate(self.res_conv_unit2(path), scale_factor=2, mode="bilinear", align_corners=True)
        return self.project(path)
