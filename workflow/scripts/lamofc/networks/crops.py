"""Training data: random crops of index planes, from the calibration features of several models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lamofc.dtypes import to_float32
from lamofc.interfaces import Sample, TensorSpec
from lamofc.packing.planes import Layout, to_matrix
from lamofc.store import FeatureReader
from lamofc.transforms import kmeans_table

MAX_ELEMENTS = 1 << 21  # of one tensor kept for crops


def index_planes(store: Path, assign: str, samples: int) -> list[np.ndarray]:
    """One uint8 plane per tensor of a store: its k-means indices, matrices of all samples one below the other."""
    reader = FeatureReader(store)
    found = list(reader.read(0, min(samples, len(reader))))
    return [p for s in reader.specs if (p := _plane(found, s, assign)).size]


def _plane(samples: Sequence[Sample], spec: TensorSpec, assign: str) -> np.ndarray:
    arrays = [to_float32(s[spec.name]) for s in samples if s[spec.name].size]
    if not arrays:
        return np.zeros((0, 0), np.uint8)
    table = kmeans_table.fit_table(np.concatenate([a.ravel() for a in arrays]))
    planes = [kmeans_table.assign(_as_plane(a, spec), table, assign) for a in arrays]
    width = min(p.shape[1] for p in planes)
    stacked = np.concatenate([p[:, :width] for p in planes])
    return stacked[: max(1, MAX_ELEMENTS // width)]


def _as_plane(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Matrices of enough columns are stacked unpadded; narrow ones and vectors as the codec would lay them out."""
    matrix = to_matrix(array, spec.kind)
    narrow = matrix.shape[1] < 32 or spec.kind == "pooled"
    return Layout(spec.kind, array.shape, "tight").pack(array) if narrow else matrix


def batches(
    models: Sequence[Sequence[np.ndarray]], size: int, count: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Endless batches (count, 1, size, size) in [0, 1): a random model, a random tensor of it, a random place."""
    while True:
        crops = []
        for _ in range(count):
            planes = models[rng.integers(len(models))]
            crops.append(_crop(planes[rng.integers(len(planes))], size, rng))
        yield np.stack(crops)[:, None].astype(np.float32) / kmeans_table.LEVELS


def _crop(plane: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    top, left = (int(rng.integers(max(0, n - size) + 1)) for n in plane.shape)
    crop = plane[top : top + size, left : left + size]
    return np.pad(crop, [(0, size - n) for n in crop.shape], mode="edge")
