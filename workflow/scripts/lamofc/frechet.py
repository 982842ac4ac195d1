"""The Fréchet distance between two sets of image features (Heusel et al. 2017, arXiv:1706.08500)."""

from __future__ import annotations

import numpy as np


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of the Gaussians fitted to a (n, features) and b (m, features).

    The trace of the root of the product of the covariances is the sum of the singular values of A B^T, with A and B
    the centred features over the root of their count less one: exact also where covariances are singular, as they are
    with fewer samples than features, and the largest matrix is n x m.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Fréchet distance needs two samples on each side, not {len(a)} and {len(b)}")
    gap = a.mean(0) - b.mean(0)
    a, b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(gap @ gap + np.square(a).sum() + np.square(b).sum() - 2 * root)
