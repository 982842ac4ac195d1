"""How far is everything? Rendered rooms with boxes and balls, photos as textures, exact depth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.datasets.raycast import Box, Camera, Plane, Skin, Sphere, Surface, depth_map, picture
from lamofc.datasets.stamps_composites import backgrounds
from lamofc.errors import ConfigError
from lamofc.tasks.depth import errors

DESCRIPTION = "Rendered rooms with boxes and balls, MATE photographs as textures, 224x224; exact depth along the axis"
LICENCE = "GPL-2.0-or-later"
OPTIONS = {
    "calibration": 200,
    "test": 40,
    "size": 224,
    "calibration_textures": ["Aqua", "Blinds", "FreshFlower", "LadyBird", "RainDrops", "YellowFlower"],
    "test_textures": ["Dune", "Garden", "GreenMeadow", "Storm", "TwoWings", "Wood"],
}
MILLIMETRES = 1000


ROOM = (0.5, 10.0)  # metres between which everything lies


def build(packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, size: int, **options) -> None:
    """Fields: image (RGB PNG), depth (16-bit PNG, millimetres). Scenes and textures of the parts are apart."""
    truths = {}
    for part in PARTS:
        photos = list(backgrounds(packages, options[f"{part}_textures"]).values())
        truths[part] = []
        for number in range(options[part]):
            camera, surfaces, lamp = scene(rng)
            wall = _skin(photos, rng)
            skins = [wall] * 4 + [_skin(photos, rng) for _ in surfaces[4:]]
            depth = np.rint(depth_map(camera, surfaces, size) * MILLIMETRES).astype(np.uint16)
            name = f"{part[:4]}-{number:03d}"
            image = target.png(f"images/{name}.png", picture(camera, surfaces, skins, lamp, size))
            target.add(part, name, image=image, depth=target.png(f"depth/{name}.png", depth))
            truths[part].append(depth.astype(np.float32) / MILLIMETRES)
    mean = float(np.mean(truths["calibration"]))
    found = [errors(np.full_like(t, mean), t) for t in truths["test"]]
    chances = {k: float(np.mean([f[k] for f in found])) for k in found[0]}
    target.facts |= {"mean_depth": mean, "chances": chances, "chance": chances["rmse"]}


def scene(rng: np.random.Generator) -> tuple[Camera, list[Surface], np.ndarray]:
    """A camera in a room, the room's four walls, floor and ceiling and the things in it, and a lamp."""
    for _ in range(1000):
        x, y, z = rng.uniform([1.5, 1.15, 2], [4, 1.8, 5])  # half of width, height, length
        eye = np.array([rng.uniform(-0.6, 0.6) * x, y - rng.uniform(0.9, 1.7), rng.uniform(-0.9, -0.3) * z])
        yaw, pitch, roll, focal = rng.uniform([-0.5, -0.35, -0.05, 0.75], [0.5, 0.1, 0.05, 1.05])
        camera = Camera(eye, yaw, pitch, roll, focal)
        shell = [Plane(axis, sign * half, -sign) for axis, half in ((0, x), (2, z), (1, y)) for sign in (-1, 1)]
        surfaces = shell + [_thing(np.array([x, y, z]), rng) for _ in range(rng.integers(2, 7))]
        lamp = rng.uniform([-0.7, -0.9, -0.8], [0.7, -0.7, 0.6]) * [x, y, z]
        coarse = depth_map(camera, surfaces, 32)
        if coarse.min() > 1.1 * ROOM[0] and coarse.max() < 0.98 * ROOM[1]:
            return camera, surfaces, lamp
    raise ConfigError("no room fits the limits of depth: correct the ranges in lamofc/datasets/rendered_rooms.py")


def _thing(room: np.ndarray, rng: np.random.Generator) -> Surface:
    """A box on the floor, or a ball on the floor or in the air."""
    place = np.array([rng.uniform(-0.85, 0.85) * room[0], 0, rng.uniform(-0.5, 0.9) * room[2]])
    if rng.random() < 0.65:
        half = rng.uniform([0.12, 0.15, 0.12], [0.6, 0.8, 0.6])
        return Box(place + np.array([0, room[1] - half[1], 0]), half, rng.uniform(0, np.pi / 2))
    radius = rng.uniform(0.12, 0.45)
    height = room[1] - radius if rng.random() < 0.6 else rng.uniform(-0.5, 1) * (room[1] - radius)
    return Sphere(place + np.array([0, height, 0]), radius)


def _skin(photos: list[Image.Image], rng: np.random.Generator) -> Skin:
    """A random crop of a photo, its colours mixed and toned."""
    photo, side = photos[rng.integers(len(photos))], int(rng.integers(200, 700))
    left, top = (int(rng.integers(0, n - side + 1)) for n in photo.size)
    crop = photo.crop((left, top, left + side, top + side)).resize((128, 128), Image.Resampling.BOX)
    toned = np.asarray(crop)[..., rng.permutation(3)] / 255 * rng.uniform(0.6, 1.2, 3) + rng.uniform(0, 0.25)
    return Skin(np.clip(toned, 0, 1), rng.uniform(0.6, 2.5))
