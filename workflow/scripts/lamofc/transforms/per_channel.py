"""States of a recurrent model, whose vectors are channels: every channel has a place, a mean and a scale of its own.

Assets of such a tensor t beside those of `profile`: `t/entries` (states, channels) float16 to be multiplied by
`t/entries_scale` (1,) float32, the mean of every entry; `t/channels` (channels,) uint8, its scale over the typical one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamofc.entropy import bank
from lamofc.interfaces import Assets, TensorSpec
from lamofc.transforms import vectors

ORIGIN = 128  # level of a typical channel; quarter octaves
_PRIOR = 1.0  # samples that a mean of zero counts for
_QUIETEST = 2.0**-16  # of the typical scale


def applies(spec: TensorSpec, samples: Sequence[np.ndarray]) -> bool:
    """Whether the vectors of all calibration samples, (states, channels) each, are the same channels."""
    return spec.kind in vectors.PER_CHANNEL and bool(samples) and len({s.shape for s in samples}) == 1


def entries(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """Mean of every entry as float16, and the factor taken out of it."""
    mean = np.sum(samples, 0, dtype=np.float64) / (len(samples) + _PRIOR)
    scale = float(np.float32(np.abs(mean).max(initial=0) or 1.0))
    return (mean / scale).astype(np.float16), scale


def scales(residual: Sequence[np.ndarray]) -> np.ndarray:
    """(channels,) RMS of each channel over the typical one: their geometric mean is 1."""
    power = np.mean([np.square(r, dtype=np.float64).mean(0) if len(r) else np.ones(r.shape[1]) for r in residual], 0)
    if not power.any():
        return np.ones(len(power))
    sizes = np.sqrt(np.maximum(power, power.max() * _QUIETEST**2))
    return sizes / np.exp(np.log(sizes).mean())


def levels(scales: np.ndarray) -> np.ndarray:
    """-> uint8."""
    return np.clip(np.rint(bank.PER_OCTAVE * np.log2(scales)) + ORIGIN, 0, 255).astype(np.uint8)


def means(assets: Assets, spec: TensorSpec) -> np.ndarray | None:
    """(states, channels) float32 as encoder and decoder have it; None in profiles without."""
    if f"{spec.name}/entries" not in assets:
        return None
    return assets[f"{spec.name}/entries"].astype(np.float32) * assets[f"{spec.name}/entries_scale"]


def shifts(assets: Assets, spec: TensorSpec) -> np.ndarray | None:
    """(channels,) int32: by how many bank indices the tables of a channel move; None in profiles without."""
    found = assets.get(f"{spec.name}/channels")
    return None if found is None else found.astype(np.int32) - ORIGIN
