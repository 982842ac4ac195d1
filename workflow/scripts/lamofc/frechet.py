"""Distances between two sets of image features: Fréchet's (Heusel et al. 2017, arXiv:1706.08500) and a kernel's."""

from __future__ import annotations

import numpy as np

_DEALS = 8


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


def frechet_bias(real: np.ndarray) -> float:
    """What `frechet_distance` says of two sets as large as `real` (n, features) and of its distribution, about.

    The distance of two random halves of `real`, mean over deals, halved: the bias falls as 1/n. NaN below 4 samples.
    """
    half = len(real) // 2
    if half < 2:
        return float("nan")
    rng = np.random.default_rng(0)
    deals = [real[rng.permutation(len(real))] for _ in range(_DEALS)]
    return float(np.mean([frechet_distance(d[:half], d[half : 2 * half]) for d in deals])) / 2


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared maximum mean discrepancy under (x.y/features + 1)^3, unbiased (KID, Binkowski et al. 2018,
    arXiv:1801.01401): may be negative. NaN below 2 samples."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2:
        return float("nan")
    own = [_kernel(x, x) for x in (a, b)]
    within = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in own)
    return float(within - 2 * _kernel(a, b).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3
