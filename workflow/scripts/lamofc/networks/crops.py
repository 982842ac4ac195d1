"""Training data: index planes as the codec lays them out, from the calibration features of several models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lamofc.dtypes import to_float32
from lamofc.interfaces import Sample, TensorSpec
from lamofc.packing.planes import Layout
from lamofc.store import FeatureReader
from lamofc.transforms import kmeans_table

Planes = list[np.ndarray]  # uint8, one per tensor and sample


def index_planes(store: Path, assign: str, samples: int) -> Planes:
    """The k-means index planes of a store's first samples, tightly packed."""
    reader = FeatureReader(store)
    found = list(reader.read(0, min(samples, len(reader))))
    return [plane for spec in reader.specs for plane in _of_tensor(found, spec, assign)]


def _of_tensor(samples: Sequence[Sample], spec: TensorSpec, assign: str) -> Planes:
    arrays = [to_float32(s[spec.name]) for s in samples if s[spec.name].size]
    if not arrays:
        return []
    table = kmeans_table.fit_table(np.concatenate([a.ravel() for a in arrays]))
    layouts = [Layout(spec.kind, a.shape, "tight") for a in arrays]
    return [p.pack(kmeans_table.assign(a, table, assign)) for p, a in zip(layouts, arrays, strict=True)]


def batches(models: Sequence[Planes], size: int, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless batches (any, 1, height, width) in [0, 1) of about count x size x size elements.

    A batch comes from one random model: random planes of one shape, whole where they are no larger than `size` on a
    side, else cut at random. So the network meets the sizes, folds and borders that it will code.
    """
    shelves = [_by_shape(planes, size) for planes in models]
    while True:
        shelf = shelves[rng.integers(len(shelves))]
        shapes = list(shelf)
        share = np.array([len(shelf[s]) * s[0] * s[1] for s in shapes], np.float64)
        shape = shapes[rng.choice(len(shapes), p=share / share.sum())]
        planes = shelf[shape]
        number = max(1, round(count * size**2 / (shape[0] * shape[1])))
        crops = [_crop(planes[i], shape, rng) for i in rng.integers(len(planes), size=number)]
        yield np.stack(crops)[:, None].astype(np.float32) / kmeans_table.LEVELS


def _by_shape(planes: Planes, size: int) -> dict[tuple[int, int], Planes]:
    shelf = defaultdict(list)
    for plane in planes:
        shelf[min(plane.shape[0], size), min(plane.shape[1], size)].append(plane)
    return dict(shelf)


def _crop(plane: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    top, left = (int(rng.integers(have - want + 1)) for have, want in zip(plane.shape, shape, strict=True))
    return plane[top : top + shape[0], left : left + shape[1]]
