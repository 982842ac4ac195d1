"""Entropy-constrained codebooks of short vectors (Chou, Lookabaugh & Gray 1989), many small ones at a time."""

from __future__ import annotations

import numpy as np

ITERATIONS = 8
_ROWS = 4096  # vectors compared with a book at a time, which bounds memory
_TOGETHER = 1 << 17  # distances of groups that are looked at together
_PRICE = 2 * np.log(2)  # how fast distortion falls with rate, per dimension, at high rate


def fit(vectors: np.ndarray, size: int, pressure: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(groups, n, d) float32 -> books (groups, size, d) float32, counts (groups, size) int64, at least 1.

    pressure: 0 is plain k-means; 1 weighs bits at the slope of the rate-distortion function at the reached distortion.
    """
    groups, count, width = vectors.shape
    rng = np.random.default_rng(seed)
    books = np.empty((groups, size, width), np.float32)
    counts = np.empty((groups, size), np.int64)
    for g in range(groups):
        x = vectors[g]
        chosen = rng.permutation(count)[:size] if count >= size else rng.integers(0, max(count, 1), size)
        book = x[chosen] + 0.0 if count else np.zeros((size, width), np.float32)
        prices = np.zeros(size)
        used = np.ones(size, np.int64)
        for k in range(ITERATIONS if count else 0):
            found, distance = nearest(x, book, prices)
            used = np.bincount(found, minlength=size)
            sums = np.stack([np.bincount(found, x[:, j], size) for j in range(width)], 1)
            book = np.where(used[:, None] > 0, sums / np.maximum(used, 1)[:, None], book).astype(np.float32)
            if pressure and k >= 1:
                slope = pressure * _PRICE * float(np.mean(distance)) / width
                prices = slope * -np.log2(np.maximum(used, 0.5) / count)
        books[g], counts[g] = book, np.maximum(used, 1)
    return books, counts


class Search:
    """`nearest` in books (groups, size, d), or one for all groups, under prices (groups, size): the same entries."""

    def __init__(self, books: np.ndarray, prices: np.ndarray) -> None:
        self._wide = books.astype(np.float64)
        self._norms, self._prices = (self._wide**2).sum(2), prices

    def nearest(self, vectors: np.ndarray) -> np.ndarray:
        """(groups, d, n) float64 -> index of the cheapest entry of each group's book, (groups, n) int32."""
        groups, _, count = vectors.shape
        out = np.empty((groups, count), np.int32)
        size = self._wide.shape[1]
        rows = min(_ROWS, max(count, 1))
        at_once = max(1, _TOGETHER // (rows * size))
        wide = np.broadcast_to(self._wide, (groups, *self._wide.shape[1:])).transpose(0, 2, 1)
        norms = np.broadcast_to(self._norms, (groups, size))[:, None]
        for g in range(0, groups, at_once):
            some = slice(g, g + at_once)
            for first in range(0, count, rows):
                part = vectors[some, :, first : first + rows].transpose(0, 2, 1)
                products = part @ wide[some]
                products *= 2
                np.subtract(norms[some], products, out=products)
                products += self._prices[some, None]
                out[some, first : first + rows] = products.argmin(2)
        return out


def nearest(x: np.ndarray, book: np.ndarray, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, d), (size, d), (size,) -> index of the cheapest entry, |x - c|^2 + price; and |x - c|^2. (n,) each."""
    wide, norms = book.astype(np.float64), (book.astype(np.float64) ** 2).sum(1)
    found, distance = np.empty(len(x), np.int64), np.empty(len(x))
    for first in range(0, len(x), _ROWS):
        part = x[first : first + _ROWS].astype(np.float64)
        products = norms - 2 * (part @ wide.T)
        best = np.argmin(products + prices, 1)
        found[first : first + _ROWS] = best
        distance[first : first + _ROWS] = products[np.arange(len(part)), best] + (part**2).sum(1)
    return found, np.maximum(distance, 0)
