"""Token grids as mosaics: the map of every channel is a tile, so that image coders meet images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamofc.interfaces import TensorSpec
from lamofc.packing.planes import TIGHT_MULTIPLE, Layout


@dataclass(frozen=True)
class Mosaic:
    """Tokens (prefix + rows * columns, channels) in a plane: tiles of the channels, below them the prefix tokens.

    order: which channel each tile shows, in reading order. `pack` and `unpack` are those of planes.Layout.
    """

    shape: tuple[int, ...]
    grid: tuple[int, int]
    prefix: int
    order: tuple[int, ...]

    @property
    def _across(self) -> int:
        """Tiles in a row: the plane comes out about square."""
        channels, (rows, columns) = self.shape[1], self.grid
        return max(1, min(channels, round((channels * rows / columns) ** 0.5)))

    @property
    def _tiles(self) -> tuple[int, int]:
        return -(-self.shape[1] // self._across) * self.grid[0], self._across * self.grid[1]

    @property
    def plane_shape(self) -> tuple[int, int]:
        height, width = self._tiles
        height += -(-self.prefix * self.shape[1] // width)
        return _rounded(height), _rounded(width)

    def pack(self, array: np.ndarray) -> np.ndarray:
        """(tokens, channels) -> plane of the same dtype; free places repeat their neighbours."""
        (rows, columns), (height, width) = self.grid, self._tiles
        maps = array[self.prefix :].T[list(self.order)].reshape(-1, rows, columns)
        down = height // rows
        maps = np.concatenate([maps, np.repeat(maps[-1:], down * self._across - len(maps), 0)])
        tiles = maps.reshape(down, self._across, rows, columns).transpose(0, 2, 1, 3).reshape(height, width)
        strip = array[: self.prefix].ravel()
        strip = np.pad(strip, (0, -len(strip) % width), "edge") if len(strip) else strip
        plane = np.concatenate([tiles, strip.reshape(-1, width)])
        pad = [(0, want - have) for want, have in zip(self.plane_shape, plane.shape, strict=True)]
        return np.pad(plane, pad, "edge")

    def unpack(self, plane: np.ndarray) -> np.ndarray:
        """Inverse of `pack`."""
        (rows, columns), (height, width), channels = self.grid, self._tiles, self.shape[1]
        tiles = plane[:height, :width].reshape(-1, rows, self._across, columns).transpose(0, 2, 1, 3)
        out = np.empty(self.shape, plane.dtype)
        out[self.prefix :, list(self.order)] = tiles.reshape(-1, rows * columns)[:channels].T
        out[: self.prefix] = plane[height:, :width].reshape(-1)[: self.prefix * channels].reshape(-1, channels)
        return out


def layout(spec: TensorSpec, shape: tuple[int, ...], grid: bool, order: Sequence[int]) -> Layout | Mosaic:
    """Where a tensor lies in its plane: a mosaic for tokens on a grid that fits, if wanted, else one matrix."""
    rows, columns = spec.attributes.get("grid", (0, 0))
    prefix = spec.attributes.get("prefix", 0)
    if grid and spec.kind == "tokens" and rows * columns and shape[0] == prefix + rows * columns:
        return Mosaic(tuple(shape), (rows, columns), prefix, tuple(map(int, order)))
    return Layout(spec.kind, tuple(shape), "tight")


def _rounded(size: int) -> int:
    return -(-size // TIGHT_MULTIPLE) * TIGHT_MULTIPLE
