"""The ViT adapter (Chen et al. 2023, arXiv:2205.08534) in the form DINOv3 uses it on a frozen trunk.

It adds a small convolutional pyramid of the pixels, the spatial prior, to the trunk's token maps. The prior is cut
before its 1x1 projections to the trunk's width, where it is smallest: `SpatialPrior` belongs to the head, and what it
sends is coded and counted; `SpatialAdapter` is the tail. Names of submodules are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers.models.mask2former.modeling_mask2former import multi_scale_deformable_attention

POINTS = 4  # sampling points of the deformable attention
Grid = tuple[int, int]


def prior_channels(inner: int) -> list[int]:
    """Channels of the prior's maps at strides 4, 8, 16, 32."""
    return [inner, 2 * inner, 4 * inner, 4 * inner]


def pyramid(grid: Grid) -> list[Grid]:
    """Rows and columns at strides 4, 8, 16, 32 for a grid of patches of 16 pixels."""
    return [(4 * grid[0], 4 * grid[1]), (2 * grid[0], 2 * grid[1]), grid, (grid[0] // 2, grid[1] // 2)]


class SpatialPrior(nn.Module):
    """Pixels (views, 3, h, w) -> four maps (views, h w / stride^2, channels) at strides 4, 8, 16, 32."""

    def __init__(self, inner: int = 64) -> None:
        super().__init__()
        wide = prior_channels(inner)
        first = [*_step(3, inner, 2), *_step(inner, inner, 1), *_step(inner, inner, 1), nn.MaxPool2d(3, 2, 1)]
        self.stem = nn.Sequential(*first)
        self.conv2 = nn.Sequential(*_step(wide[0], wide[1], 2))
        self.conv3 = nn.Sequential(*_step(wide[1], wide[2], 2))
        self.conv4 = nn.Sequential(*_step(wide[2], wide[3], 2))

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        maps = [self.stem(pixels)]
        for step in (self.conv2, self.conv3, self.conv4):
            maps.append(step(maps[-1]))
        # Laid out as received ones are: in half precision a product depends on how its factors lie.
        return [m.flatten(2).transpose(1, 2).contiguous() for m in maps]


class SpatialAdapter(nn.Module):
    """Four normed token maps of the trunk and the spatial prior -> maps at strides 4, 8, 16, 32.

    heads: of the deformable attention; inner: channels of the prior; extra: extractors after the last interaction.
    Without a prior its maps count as zero before their projections, which the published weights were not trained for.
    """

    def __init__(self, width: int, heads: int = 16, inner: int = 64, maps: int = 4, extra: int = 2) -> None:
        super().__init__()
        self.inner = inner
        projections = [nn.Conv2d(c, width, 1) for c in prior_channels(inner)]
        self.spm = nn.ModuleDict({f"fc{i + 1}": p for i, p in enumerate(projections)})
        self.level_embed = nn.Parameter(torch.zeros(3, width))
        self.interactions = nn.ModuleList(
            _Interaction(width, heads, extra if i == maps - 1 else 0) for i in range(maps)
        )
        self.up = nn.ConvTranspose2d(width, width, 2, 2)
        for number in (1, 2, 3, 4):
            self.add_module(f"norm{number}", nn.BatchNorm2d(width))

    def forward(self, maps: Sequence[torch.Tensor], prior: Sequence[torch.Tensor], grid: Grid) -> list[torch.Tensor]:
        """maps: (views, patches, width) each; prior: as `SpatialPrior` gives it, or empty."""
        grids = pyramid(grid)
        first, *rest = self._projected(maps[0], prior, grids)
        tokens = torch.cat([r + self.level_embed[i] for i, r in enumerate(rest)], 1)
        points = _centres(grids[1:], maps[0])
        for interaction, feature in zip(self.interactions, maps, strict=True):
            tokens = interaction(tokens, feature, points, grid, grids[1:])
        levels = [_to_map(t, g) for t, g in zip(_split(tokens, grids[1:]), grids[1:], strict=True)]
        levels = [self.up(levels[0]) + _to_map(first, grids[0]), *levels]
        return [self._sum(i, level, maps[i], grid) for i, level in enumerate(levels)]

    def _projected(self, like: torch.Tensor, prior: Sequence[torch.Tensor], grids: list[Grid]) -> list[torch.Tensor]:
        if not prior:
            prior = [
                like.new_zeros(len(like), h * w, c) for (h, w), c in zip(grids, prior_channels(self.inner), strict=True)
            ]
        layers = self.spm.values()
        return [nn.functional.linear(p, x.weight[..., 0, 0], x.bias) for p, x in zip(prior, layers, strict=True)]

    def _sum(self, number: int, level: torch.Tensor, tokens: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Adds the trunk's own map at the level's size; norm."""
        own = nn.functional.interpolate(_to_map(tokens, grid), level.shape[-2:], mode="bilinear", align_corners=False)
        return self.get_submodule(f"norm{number + 1}")(level + own)


class _Interaction(nn.Module):
    def __init__(self, width: int, heads: int, extra: int) -> None:
        super().__init__()
        self.extractor = _Extractor(width, heads)
        self.extra_extractors = nn.ModuleList(_Extractor(width, heads) for _ in range(extra)) if extra else None

    def forward(self, tokens: torch.Tensor, feature: torch.Tensor, points: torch.Tensor, grid: Grid, grids: list[Grid]):
        for extractor in (self.extractor, *(self.extra_extractors or ())):
            tokens = extractor(tokens, feature, points, grid, grids)
        return tokens


class _Extractor(nn.Module):
    """Pyramid tokens look at the trunk's map by deformable attention, then a convolutional feed-forward layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query_norm, self.feat_norm, self.ffn_norm = (nn.LayerNorm(width, eps=1e-6) for _ in range(3))
        self.attn, self.ffn = _DeformableAttention(width, heads), _ConvolutionalFeedForward(width)

    def forward(self, tokens: torch.Tensor, feature: torch.Tensor, points: torch.Tensor, grid: Grid, grids: list[Grid]):
        tokens = tokens + self.attn(self.query_norm(tokens), self.feat_norm(feature), points, grid)
        return tokens + self.ffn(self.ffn_norm(tokens), grids)


class _DeformableAttention(nn.Module):
    """One level, values at half the width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.sampling_offsets = nn.Linear(width, heads * POINTS * 2)
        self.attention_weights = nn.Linear(width, heads * POINTS)
        self.value_proj = nn.Linear(width, width // 2)
        self.output_proj = nn.Linear(width // 2, width)

    def forward(self, query: torch.Tensor, feature: torch.Tensor, points: torch.Tensor, grid: Grid) -> torch.Tensor:
        value = self.value_proj(feature).unflatten(2, (self.heads, -1))
        offsets = self.sampling_offsets(query).unflatten(2, (self.heads, 1, POINTS, 2))
        weights = self.attention_weights(query).unflatten(2, (self.heads, POINTS)).softmax(-1)
        places = points[None, :, None, None, None] + offsets / offsets.new_tensor([grid[1], grid[0]])
        return self.output_proj(multi_scale_deformable_attention(value, [grid], places, weights.unsqueeze(3)))


class _ConvolutionalFeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 4
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.dwconv = nn.ModuleDict({"dwconv": nn.Conv2d(inner, inner, 3, 1, 1, groups=inner)})

    def forward(self, tokens: torch.Tensor, grids: list[Grid]) -> torch.Tensor:
        parts = _split(self.fc1(tokens), grids)
        parts = [
            self.dwconv["dwconv"](_to_map(p, g)).flatten(2).transpose(1, 2) for p, g in zip(parts, grids, strict=True)
        ]
        return self.fc2(nn.functional.gelu(torch.cat(parts, 1)))


def _step(wide: int, narrow: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(wide, narrow, 3, stride, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]


def _split(tokens: torch.Tensor, grids: list[Grid]) -> list[torch.Tensor]:
    return list(tokens.split([h * w for h, w in grids], 1))


def _to_map(tokens: torch.Tensor, grid: Grid) -> torch.Tensor:
    """(views, rows x columns, channels) -> (views, channels, rows, columns)."""
    return tokens.transpose(1, 2).unflatten(2, grid).contiguous()


def _centres(grids: list[Grid], like: torch.Tensor) -> torch.Tensor:
    """Centres (x, y) of all cells of all grids, as fractions of the image. (cells, 2)"""
    found = []
    for rows, columns in grids:
        y, x = ((torch.arange(n, device=like.device) + 0.5) / n for n in (rows, columns))
        found.append(torch.stack([x.repeat(rows), y.repeat_interleave(columns)], -1))
    return torch.cat(found).to(like.dtype)
