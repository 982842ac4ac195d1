"""How alike two images are: pixels, structure, edges and what a network sees in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

_LUMA = np.array([0.299, 0.587, 0.114])


def squared(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared difference."""
    return float(np.square(a.astype(np.float64) - b).mean())


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of two uint8 images, dB; 100 where they are equal."""
    error = squared(a, b)
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of the lumas of two uint8 RGB images (Wang et al. 2004): Gaussian of 1.5 pixels in a window
    of 11, mean over windows that lie inside."""
    a, b = (x.astype(np.float64) @ _LUMA for x in (a, b))
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a, var_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
    both = _smooth(a * b) - mean_a * mean_b
    small, large = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + small) * (2 * both + large)
    return float((top / ((mean_a**2 + mean_b**2 + small) * (var_a + var_b + large))).mean())


def _smooth(x: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(x, 1.5, radius=5)[5:-5, 5:-5]


def edge_agreement(a: np.ndarray, b: np.ndarray) -> float:
    """F1 of the edge points (> 0) of a and b, each found where the other has one at most a pixel away; 1 for none."""
    a, b = a > 0, b > 0
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    near_a, near_b = (ndimage.binary_dilation(x, np.ones((3, 3))) for x in (a, b))
    precision, recall = (a & near_b).sum() / a.sum(), (b & near_a).sum() / b.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def perceptual(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
    """Squared distance of a network's unit vectors, mean over the positions of a map, then over maps; LPIPS (Zhang et
    al. 2018, arXiv:1801.03924) without its learnt weights."""
    return float(np.mean([np.square(x - y).sum(-1).mean() for x, y in zip(a, b, strict=True)]))
