"""Karhunen-Loeve transforms of calibration vectors, in a metric that says how much an error matters."""

from __future__ import annotations

import numpy as np

SHRINKAGE = 0.1  # weight of the identity in a metric


def moments(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(dimension, n) -> mean (dimension,), covariance (dimension, dimension), float64."""
    wide = vectors.astype(np.float64)
    mean = wide.mean(1) if wide.shape[1] else np.zeros(len(wide))
    centred = wide - mean[:, None]
    return mean, centred @ centred.T / max(1, wide.shape[1])


def towards_diagonal(covariance: np.ndarray, count: int) -> np.ndarray:
    """A covariance of `count` vectors blended with its diagonal, the more the fewer there were."""
    weight = count / (count + len(covariance))
    return weight * covariance + (1 - weight) * np.diag(np.diag(covariance))


def basis(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> orthonormal components as columns, by falling variance; their variances. float64.

    Each column's largest entry is positive, which fixes the sign that eigenvectors leave open.
    """
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    vectors = vectors[:, ::-1]
    largest = vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])] if len(vectors) else np.ones(0)
    return vectors * np.where(largest < 0, -1.0, 1.0), np.maximum(values[::-1], 0.0)


def shrunk(metric: np.ndarray, shrinkage: float = SHRINKAGE) -> np.ndarray:
    """A metric blended with the identity of equal trace, so that no direction is free of charge."""
    size = len(metric)
    level = float(np.trace(metric)) / max(1, size)
    if not level > 0:
        return np.eye(size)
    return (metric + shrinkage * level * np.eye(size)) / (1 + shrinkage)


def root(metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric square root of a positive definite matrix and its inverse."""
    values, vectors = np.linalg.eigh(metric)
    values = np.sqrt(np.maximum(values, values.max(initial=0.0) * 1e-12 + 1e-300))
    return (vectors * values) @ vectors.T, (vectors / values) @ vectors.T


def weighted(covariance: np.ndarray, metric: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """KLT in a metric (positive definite) -> analysis and synthesis matrices, variances of the components.

    components = analysis @ vector; an error e costs e^T metric e = |analysis @ e|^2, so that equal steps in all
    components give the lowest cost at a given rate.
    """
    forward, backward = root(metric)
    components, variances = basis(forward @ covariance @ forward)
    return components.T @ forward, backward @ components, variances
