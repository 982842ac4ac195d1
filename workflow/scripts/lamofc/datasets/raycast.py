"""A small ray caster: textured rooms with boxes and spheres, and the exact depth of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

NEAR = 1e-6  # metres; a surface the camera lies in is not seen
_ALONG = np.array([[2, 1], [0, 2], [0, 1]])  # the two axes that lie in a plane across each axis


@dataclass(frozen=True)
class Hits:
    """Where rays meet a surface: depth (rays,), inf where they miss; normals (rays, 3); metres (rays, 2) along it."""

    depth: np.ndarray
    normals: np.ndarray
    metres: np.ndarray


class Surface(Protocol):
    def meet(self, origin: np.ndarray, rays: np.ndarray) -> Hits: ...


@dataclass(frozen=True)
class Camera:
    """Pinhole at `position`; yaw, pitch, roll in radians. World and camera: x right, y down, z ahead."""

    position: np.ndarray
    yaw: float
    pitch: float
    roll: float
    focal: float  # in units of the picture's side

    def rays(self, side: int) -> np.ndarray:
        """Directions (side * side, 3) through pixel centres, of length 1 along the optical axis."""
        steps = ((np.arange(side) + 0.5) / side - 0.5) / self.focal
        x, y = np.meshgrid(steps, steps)
        return np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3) @ self._rotation().T

    def _rotation(self) -> np.ndarray:
        (cy, cp, cr), (sy, sp, sr) = (f([self.yaw, self.pitch, self.roll]) for f in (np.cos, np.sin))
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return turn @ nod @ lean


@dataclass(frozen=True)
class Plane:
    """All points whose coordinate `axis` is `place`; `facing` is the sign of the normal."""

    axis: int
    place: float
    facing: int

    def meet(self, origin: np.ndarray, rays: np.ndarray) -> Hits:
        with np.errstate(divide="ignore"):
            depth = (self.place - origin[self.axis]) / rays[:, self.axis]
        depth = np.where(depth > NEAR, depth, np.inf)
        point = origin + np.where(np.isfinite(depth), depth, 0)[:, None] * rays
        normals = np.zeros_like(rays)
        normals[:, self.axis] = self.facing
        return Hits(depth, normals, point[:, _ALONG[self.axis]])


@dataclass(frozen=True)
class Box:
    """A cuboid turned about the vertical, seen from outside."""

    centre: np.ndarray
    half: np.ndarray
    yaw: float = 0.0

    def meet(self, origin: np.ndarray, rays: np.ndarray) -> Hits:
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        start, toward = (origin - self.centre) @ turn, rays @ turn
        with np.errstate(divide="ignore"):
            ends = np.stack([(-self.half - start) / toward, (self.half - start) / toward])
        enter, leave = ends.min(0).max(1), ends.max(0).min(1)
        depth = np.where((enter <= leave) & (enter > NEAR), enter, np.inf)
        point = start + np.where(np.isfinite(depth), depth, 0)[:, None] * toward
        axis, number = np.abs(np.abs(point) / self.half - 1).argmin(1), np.arange(len(point))
        normals = np.zeros_like(point)
        normals[number, axis] = np.sign(point[number, axis])
        return Hits(depth, normals @ turn.T, np.take_along_axis(point, _ALONG[axis], 1) + self.half.max())


@dataclass(frozen=True)
class Sphere:
    centre: np.ndarray
    radius: float

    def meet(self, origin: np.ndarray, rays: np.ndarray) -> Hits:
        start = origin - self.centre
        a, b = (rays * rays).sum(1), rays @ start
        root = b * b - a * (start @ start - self.radius**2)
        depth = (-b - np.sqrt(np.maximum(root, 0))) / a
        depth = np.where((root > 0) & (depth > NEAR), depth, np.inf)
        normals = (start + np.where(np.isfinite(depth), depth, 0)[:, None] * rays) / self.radius
        angles = np.arctan2(normals[:, 0], normals[:, 2]), np.arcsin(np.clip(normals[:, 1], -1, 1))
        return Hits(depth, normals, self.radius * (np.stack(angles, -1) + np.pi))


@dataclass(frozen=True)
class Skin:
    """What a surface looks like: a picture (rows, columns, 3) in 0..1 that repeats, mirrored, every `metres`."""

    picture: np.ndarray
    metres: float

    def colours(self, metres: np.ndarray) -> np.ndarray:
        place = np.abs((metres / self.metres) % 2 - 1) * (np.array(self.picture.shape[1::-1]) - 1)
        column, row = np.rint(place).astype(np.intp).T
        return self.picture[row, column]


def cast(camera: Camera, surfaces: Sequence[Surface], side: int) -> tuple[np.ndarray, list[Hits], np.ndarray]:
    """Depth along the optical axis (rays,), in metres, inf where nothing is; all hits; the nearest surface (rays,)."""
    rays = camera.rays(side)
    hits = [s.meet(camera.position, rays) for s in surfaces]
    depths = np.stack([h.depth for h in hits])
    return depths.min(0), hits, depths.argmin(0)


def depth_map(camera: Camera, surfaces: Sequence[Surface], side: int) -> np.ndarray:
    """Exact depth (side, side) at pixel centres, float64 metres."""
    return cast(camera, surfaces, side)[0].reshape(side, side)


def picture(
    camera: Camera, surfaces: Sequence[Surface], skins: Sequence[Skin], lamp: np.ndarray, side: int
) -> np.ndarray:
    """uint8 (side, side, 3): textures in the light of a lamp, four rays a pixel."""
    fine = 2 * side
    depth, hits, nearest = cast(camera, surfaces, fine)
    points = camera.position + depth[:, None] * camera.rays(fine)
    colours = np.zeros((fine * fine, 3))
    for number, (hit, skin) in enumerate(zip(hits, skins, strict=True)):
        seen = nearest == number
        toward = lamp - points[seen]
        far = np.linalg.norm(toward, axis=1)
        facing = np.maximum((hit.normals[seen] * toward).sum(1) / far, 0)
        colours[seen] = skin.colours(hit.metres[seen]) * (0.35 + 0.75 * facing / (1 + (far / 4) ** 2))[:, None]
    mean = colours.reshape(side, 2, side, 2, 3).mean((1, 3))
    return np.rint(255 * np.clip(mean, 0, 1)).astype(np.uint8)
