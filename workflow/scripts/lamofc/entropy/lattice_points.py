"""Points of D4 and E8 under Gaussian tables; the last coordinate's parity follows from the others, free of cost."""

from __future__ import annotations

import numpy as np

from lamofc.entropy import bank, grouped, histogram
from lamofc.entropy.ans import Decoder, Encoder

# (coset, parity of the last coordinate) -> table family of half the last coordinate, and whether it is mirrored
_LAST = {
    (0, 0): ("gauss", False),
    (0, 1): ("gauss+1/2", False),
    (1, 0): ("gauss+1/4", False),
    (1, 1): ("gauss+1/4", True),
}


def put(encoder: Encoder, whole: np.ndarray, coset: np.ndarray, sigma: float) -> None:
    """whole (dimension, n) int32 of even sums, coset (n,) bool, sigma in units of the lattice."""
    histogram.put(encoder, coset, 2)
    free, last = _tables(sigma)
    for c, family in enumerate(("gauss", "gauss+1/2")):
        chosen = whole[:, coset == bool(c)]
        grouped.put(encoder, chosen[:-1].reshape(1, -1), free, family)
        parity = chosen[:-1].sum(0) & 1
        for p in (0, 1):
            half = (chosen[-1, parity == p] - p) >> 1
            name, mirrored = _LAST[c, p]
            grouped.put(encoder, (-1 - half if mirrored else half)[None], last, name)


def take(decoder: Decoder, dimension: int, count: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `put`."""
    coset = histogram.take(decoder, count, 2) > 0
    whole = np.empty((dimension, count), np.int32)
    free, last = _tables(sigma)
    for c, family in enumerate(("gauss", "gauss+1/2")):
        where = np.flatnonzero(coset == bool(c))
        part = grouped.take(decoder, (dimension - 1) * len(where), free, family).reshape(dimension - 1, -1)
        whole[:-1, where] = part
        parity = part.sum(0) & 1
        for p in (0, 1):
            name, mirrored = _LAST[c, p]
            half = grouped.take(decoder, int((parity == p).sum()), last, name)[0]
            whole[-1, where[parity == p]] = 2 * (-1 - half if mirrored else half) + p
    return whole, coset


def _tables(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Bank index of the free coordinates, and of half the last one."""
    index = bank.index(np.array([sigma]))
    return index, np.maximum(index - bank.PER_OCTAVE, 0)
