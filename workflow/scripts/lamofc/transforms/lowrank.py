"""Low-rank descriptions of a matrix: singular vectors of one sample, or a calibrated principal basis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def principal(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centred (channels, n) -> basis (channels, channels) float32, orthonormal columns by falling variance, and those.

    Karhunen (1947) and Loeve (1948); signs are fixed so that the largest entry of each column is positive.
    """
    wide = columns.astype(np.float64)
    variances, basis = np.linalg.eigh(wide @ wide.T / max(wide.shape[1], 1))
    basis = _signed(basis[:, ::-1])
    return basis.astype(np.float32), np.maximum(variances[::-1], 0)


def components(matrices: np.ndarray, floors: Sequence[float]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Singular vectors of the longer side's space whose singular value exceeds a floor, from the smaller Gram matrix.

    matrices (k, m, n) float64, k floors -> for each (vectors (r, n), singular values (r,) falling). Exact enough for
    values above 1e-7 of the largest, which is far below any step that codes them.
    """
    if not matrices.size:
        return [(np.zeros((0, matrices.shape[2])), np.zeros(0)) for _ in matrices]
    scale = np.maximum(np.abs(matrices).max((1, 2)), np.finfo(np.float64).tiny)
    unit = matrices / scale[:, None, None]
    turned = unit.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh(unit @ turned if unit.shape[1] <= unit.shape[2] else turned @ unit)
    return [_kept(*each) for each in zip(unit, values, vectors, scale.tolist(), floors, strict=True)]


def _kept(
    unit: np.ndarray, values: np.ndarray, vectors: np.ndarray, scale: float, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.sqrt(np.maximum(values[::-1], 0))
    kept = sizes * scale > max(floor, 1e-7 * sizes[0] * scale)
    vectors, sizes = _signed(vectors[:, ::-1])[:, kept], sizes[kept]
    right = vectors.T if unit.shape[0] > unit.shape[1] else (vectors / sizes).T @ unit
    return right, sizes * scale


def _signed(vectors: np.ndarray) -> np.ndarray:
    """Each column times the sign that makes its largest entry positive."""
    top = np.abs(vectors).argmax(0) if vectors.size else np.zeros(vectors.shape[1], int)
    return vectors * np.where(vectors[top, np.arange(vectors.shape[1])] < 0, -1.0, 1.0) if vectors.size else vectors
