"""Asymmetric integers in groups: each group's minimum and step as float16, values between them in equal steps."""

from __future__ import annotations

import numpy as np

from lamofc.errors import BitstreamError


def quantise(matrix: np.ndarray, group: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, n) float32 within float16's range, groups along the last axis, the last one may be shorter.

    -> integers (rows, n) 0 .. 2^width - 1 uint8, steps and minima (rows, groups) float16.
    """
    padded = _grouped(matrix, group)
    low, high = padded.min(2), padded.max(2)
    steps, minima = ((high - low) / ((1 << width) - 1)).astype(np.float16), low.astype(np.float16)
    divisors = np.where(steps > 0, steps, np.inf).astype(np.float32)[:, :, None]
    levels = np.rint((padded - minima.astype(np.float32)[:, :, None]) / divisors).clip(0, (1 << width) - 1)
    return _joined(levels.astype(np.uint8))[:, : matrix.shape[1]], steps, minima


def dequantise(levels: np.ndarray, steps: np.ndarray, minima: np.ndarray, group: int) -> np.ndarray:
    """Inverse of `quantise` -> (rows, n) float32; BitstreamError unless steps and minima are finite."""
    if not (np.isfinite(steps).all() and np.isfinite(minima).all()):
        raise BitstreamError("step or minimum of a group is not finite")
    wide = _grouped(levels, group).astype(np.float32) * steps.astype(np.float32)[:, :, None]
    wide += minima.astype(np.float32)[:, :, None]
    return _joined(wide)[:, : levels.shape[1]]


def groups(count: int, group: int) -> int:
    """Groups that `count` values make."""
    return -(-count // group)


def _grouped(matrix: np.ndarray, group: int) -> np.ndarray:
    """(rows, n) -> (rows, groups, group), the last group filled with its last value. One group that is wider than the
    row has the row's width: a header's `group` must not size memory."""
    group = min(group, max(1, matrix.shape[1]))
    missing = -matrix.shape[1] % group
    if missing:
        matrix = np.concatenate([matrix, np.repeat(matrix[:, -1:], missing, 1)], 1)
    return matrix.reshape(len(matrix), matrix.shape[1] // group, group)


def _joined(grouped: np.ndarray) -> np.ndarray:
    return grouped.reshape(len(grouped), grouped.shape[1] * grouped.shape[2])
