"""What makes features heterogeneous: outliers, uneven channels, correlated tokens, spectra, intrinsic dimension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from lamofc.interfaces import TensorSpec
from lamofc.store import FeatureReader
from lamofc.transforms import rows as channel_rows

SAMPLES = 16
NEIGHBOURS = 1500  # tokens among which intrinsic dimension is estimated
LAGS = np.arange(1, 33)


@dataclass(frozen=True)
class Tensor:
    """Some samples of one tensor: positions (samples of (positions, channels) float32), and whose they are."""

    model: str
    spec: TensorSpec
    samples: list[np.ndarray]

    @property
    def values(self) -> np.ndarray:
        """All positions, (positions, channels)."""
        return np.concatenate(self.samples)


def tensors(folders: Sequence[Path], models: dict[str, str]) -> Iterator[Tensor]:
    """Each tensor of each model once, from the first curve it crosses; `models`: curve name -> model."""
    seen: set[tuple[str, str]] = set()
    for folder in map(Path, folders):
        store, model = FeatureReader(folder / "test.zarr"), models[folder.name]
        new = [s for s in store.specs if (model, s.name) not in seen]
        if new:
            samples = list(islice(store, SAMPLES))
            seen |= {(model, s.name) for s in new}
            yield from (Tensor(model, s, [positions(x[s.name], s) for x in samples]) for s in new)


def positions(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """One sample -> (positions, channels) float32: tokens, or pixels and states of what has none."""
    return channel_rows.to_rows(array, spec).T


def histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of values between edges; values in units of their RMS."""
    scaled = values.ravel() / max(float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))), 1e-30)
    return np.histogram(scaled, edges)[0] / scaled.size


def energies(values: np.ndarray) -> np.ndarray:
    """Mean square per channel / mean over channels, falling."""
    energy = np.square(values, dtype=np.float64).mean(0)
    return np.sort(energy / max(energy.mean(), 1e-300))[::-1]


def spectrum(values: np.ndarray) -> np.ndarray:
    """Eigenvalues of the channels' covariance, falling, summing to 1."""
    centred = values - values.mean(0, dtype=np.float64)
    found = np.maximum(np.linalg.eigvalsh(centred.T @ centred)[::-1], 0)
    return found / max(found.sum(), 1e-300)


def correlation(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Mean cosine between positions at LAGS from each other, channel means removed; NaN where none is that far."""
    mean = np.concatenate(samples).mean(0)
    sums, counts = np.zeros(len(LAGS)), np.zeros(len(LAGS))
    for sample in samples:
        unit = sample - mean
        unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-30)
        for i, lag in enumerate(LAGS[len(unit) > LAGS]):
            sums[i] += np.einsum("ij,ij->", unit[lag:], unit[:-lag])
            counts[i] += len(unit) - lag
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def intrinsic_dimension(values: np.ndarray) -> float:
    """Two-nearest-neighbour estimate (Facco et al. 2017) among evenly spaced positions; NaN for fewer than 20.

    Positions that repeat exactly, as the same prompt's first tokens do, are no neighbours of each other.
    """
    chosen = values[:: -(-len(values) // NEIGHBOURS)].astype(np.float64)
    if len(chosen) < 20:
        return float("nan")
    squares = np.square(chosen).sum(1)
    distances = squares[:, None] + squares - 2 * chosen @ chosen.T
    distances[distances <= 1e-10 * squares.mean()] = np.inf
    nearest = np.sqrt(np.partition(distances, 1, axis=1)[:, :2])
    nearest = nearest[np.isfinite(nearest[:, 1])]
    ratios = np.sort(np.log(nearest[:, 1] / nearest[:, 0]))
    ratios = ratios[: int(0.9 * len(ratios))]  # the largest tenth is noise
    steps = -np.log1p(-np.arange(1, len(ratios) + 1) / (len(ratios) / 0.9 + 1))
    return float(steps @ ratios / (ratios @ ratios)) if len(ratios) and ratios @ ratios > 0 else float("nan")
