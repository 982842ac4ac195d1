"""What a vision model looks at: the image, windows that slide over it, or the image and its mirror.

A strategy turns an image into views of one size, and the tail's outputs of the views into one output. All of it
follows from the image's height and width, which the receiver is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Whole:
    """The image, resized to a square of `side` pixels (bicubic, antialiased)."""

    def __init__(self, side: int) -> None:
        self.size = (side, side)

    def count(self, size: Sequence[int]) -> int:
        return 1

    def cut(self, image: np.ndarray) -> torch.Tensor:  # -> (1, 3, height, width) float32
        return normalised(resized(image, self.size))[None]


class Mirrored(Whole):
    """The image resized to `size` and its mirror image; outputs are averaged."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def count(self, size: Sequence[int]) -> int:
        return 2

    def cut(self, image: np.ndarray) -> torch.Tensor:  # -> (2, 3, height, width)
        pixels = normalised(resized(image, self.size))
        return torch.stack([pixels, pixels.flip(-1)])

    def join(self, maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """(2, channels, h, w) -> (channels, *size): mean of the first and the second mirrored back."""
        mean = (maps[:1] + maps[1:].flip(-1)) / 2
        return nn.functional.interpolate(mean, tuple(size), mode="bilinear", align_corners=False)[0]


class Windows:
    """Windows of `side` pixels that slide by `stride` over the image, whose shorter side becomes `short` first.

    The last window of a row or column moves back to end at the border.
    """

    def __init__(self, side: int = 896, stride: int = 596, short: int = 896) -> None:
        self.side, self.stride, self.short = side, stride, max(short, side)
        self.size = (side, side)

    def scaled(self, size: Sequence[int]) -> tuple[int, int]:
        """Height and width after resizing, ratio kept."""
        scale = self.short / min(size)
        return tuple(max(self.short, round(n * scale)) for n in size)

    def corners(self, size: Sequence[int]) -> list[tuple[int, int]]:
        """Top left corners of the windows on the resized image, row by row."""
        tops, lefts = (self._starts(n) for n in self.scaled(size))
        return [(top, left) for top in tops for left in lefts]

    def count(self, size: Sequence[int]) -> int:
        return len(self.corners(size))

    def cut(self, image: np.ndarray) -> torch.Tensor:  # -> (windows, 3, side, side)
        pixels = normalised(resized(image, self.scaled(image.shape[:2])))
        return torch.stack([pixels[:, t : t + self.side, x : x + self.side] for t, x in self.corners(image.shape[:2])])

    def join(self, maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """(windows, channels, side, side) -> (channels, *size): mean where windows overlap."""
        height, width = self.scaled(size)
        total = maps.new_zeros((maps.shape[1], height, width))
        times = maps.new_zeros((height, width))
        for window, (top, left) in zip(maps, self.corners(size), strict=True):
            total[:, top : top + self.side, left : left + self.side] += window
            times[top : top + self.side, left : left + self.side] += 1
        return nn.functional.interpolate((total / times)[None], tuple(size), mode="bilinear", align_corners=False)[0]

    def _starts(self, length: int) -> list[int]:
        count = max(0, math.ceil((length - self.side) / self.stride)) + 1
        return [min(i * self.stride, length - self.side) for i in range(count)]


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width, 3) -> the same at `size`, bicubic."""
    if tuple(image.shape[:2]) == tuple(size):
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def normalised(image: np.ndarray) -> torch.Tensor:
    """uint8 (height, width, 3) -> float32 (3, height, width), by the ImageNet mean and deviation."""
    scaled = image.astype(np.float32) / 255  # in numpy, since torch may make its tensors on a GPU by default
    return torch.from_numpy((scaled - np.float32(MEAN)) / np.float32(STD)).permute(2, 0, 1).contiguous()
