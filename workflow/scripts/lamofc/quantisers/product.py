"""Product quantisation of vectors: components of a transform in groups, a codebook for each group.

Assets of a tensor: `mean`; `basis`, its columns the components (`<books>/basis` where a point has its own; none: the
vectors' own entries); `energy`, the sum of their variances. Per point, `<books>/order`: the component at every place of
the groups; `/books` (groups, entries, width), or one for all groups; `/counts`, how common entries are in a group;
`/error`, the usual squared error of a vector; `/gains`, by which decoders scale a group's entries (none: 1).

Entries are means, and so decoded vectors are on the whole smaller than what they stand for. Layer norms and attention
keep such a common bias; gains undo it, at a little more squared error and a third less damage.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lamofc.entropy.ans import Rows
from lamofc.interfaces import Assets
from lamofc.quantisers import codebooks
from lamofc.transforms import klt
from lamofc.transforms.snap import snap

SHARED = 1 << 14  # vectors that a codebook for all places is fitted on
LARGEST_GAIN = 1.5
SNAPPED = 256  # `snap` rounds to this part of `unit`

Books = Mapping[str, tuple[int, int]]  # name of a point -> width of a group, entries of its codebook


def fit(name: str, columns: np.ndarray, books: Books, pressure: float, metric: np.ndarray | None = None) -> dict:
    """Calibration vectors (dimension, n) float32 of a tensor -> its assets.

    metric: (dimension, dimension), what an error costs; the components are then principal in it, and not orthogonal.
    """
    usual = columns[:, _is_usual(columns)]
    mean, covariance = klt.moments(usual)
    covariance = klt.towards_diagonal(covariance, usual.shape[1])
    if metric is None:
        basis, variances = klt.basis(covariance)
    else:
        _, basis, variances = klt.weighted(covariance, klt.shrunk(metric.astype(np.float64)))
    basis = basis.astype(np.float16).astype(np.float64)
    energy = max(float(variances.sum()), 1e-30)
    turned = analysis(basis, metric is None) @ (usual.astype(np.float64) - mean[:, None]) / unit(energy, len(mean))
    assets = {f"{name}/mean": mean.astype(np.float32), f"{name}/basis": basis.astype(np.float16),
              f"{name}/energy": np.array([energy], np.float32)}  # fmt: skip
    for label, (width, size) in books.items():
        found = _point(turned.astype(np.float32), _dealt(variances, width), width, size, pressure, energy)
        assets |= {f"{name}/{label}/{k}": v for k, v in found.items()}
        if metric is not None:  # what components say of an error is then not its size
            reached = Product(assets, name, label, width, pressure, False).usual_error(usual)
            floor = float(np.trace(covariance)) * size ** (-2 / width)
            assets[f"{name}/{label}/error"] = np.array([max(reached, floor)], np.float32)
    return assets


def analysis(basis: np.ndarray, orthonormal: bool) -> np.ndarray:
    """What makes components of vectors: the inverse of the synthesis."""
    return basis.T if orthonormal else np.linalg.inv(basis)


def fit_shared(name: str, columns: np.ndarray, books: Books, pressure: float) -> dict[str, np.ndarray]:
    """As `fit`, without a transform and with one codebook for runs of neighbouring entries; counts for each place."""
    usual = columns[:, _is_usual(columns)]
    mean, covariance = klt.moments(usual)
    energy = max(float(np.trace(covariance)), 1e-30)
    centred = ((usual.astype(np.float64) - mean[:, None]) / unit(energy, len(mean))).astype(np.float32)
    assets = {f"{name}/mean": mean.astype(np.float32), f"{name}/energy": np.array([energy], np.float32)}
    for label, (width, size) in books.items():
        places = -(-len(mean) // width)
        order = np.minimum(np.arange(places * width), len(mean)).astype(np.uint16)
        rows = np.ascontiguousarray(grouped(centred, order, places).transpose(0, 2, 1))
        pooled = rows.reshape(1, -1, width)
        book, _ = codebooks.fit(pooled[:, :: max(1, pooled.shape[1] // SHARED)], size, pressure)
        at = {"order": order, "books": book.astype(np.float16), "counts": None}
        at["counts"] = shares(_counted(rows, at["books"][0], 0) + 1 / size)
        at |= _gained(rows, at["books"], at["counts"], width, pressure)
        at["counts"] = shares(at.pop("used") + 1 / size)
        error = max(at.pop("missed") * unit(energy, len(mean)) ** 2, energy * size ** (-2 / width))
        assets |= {f"{name}/{label}/{k}": v for k, v in at.items()}
        assets[f"{name}/{label}/error"] = np.array([error], np.float32)
    return assets


def _counted(rows: np.ndarray, book: np.ndarray, prices: np.ndarray | int) -> np.ndarray:
    """(groups, n, width) -> how often each takes each entry of one book, (groups, entries)."""
    found = codebooks.nearest(rows.reshape(-1, rows.shape[2]), book, np.zeros(len(book)) + prices)[0]
    return np.stack([np.bincount(f, minlength=len(book)) for f in found.reshape(rows.shape[:2])])


def _gained(rows: np.ndarray, books: np.ndarray, counts: np.ndarray, width: int, pressure: float) -> dict:
    """Assignment of (groups, n, width) under prices -> gains, entries used, mean squared error of a vector."""
    prices = price(counts.astype(np.int64), width, pressure)
    gains, used, missed = np.ones(len(rows)), np.zeros(counts.shape, np.int64), 0.0
    for g, (x, p) in enumerate(zip(rows, prices, strict=True)):
        book = books[g % len(books)].astype(np.float32)
        found = codebooks.nearest(x, book, p)[0]
        used[g] = np.bincount(found, minlength=len(book))
        energy, common = float((x.astype(np.float64) ** 2).sum()), float((x * book[found]).sum(dtype=np.float64))
        gains[g] = np.clip(energy / common, 1, LARGEST_GAIN) if common > 0 else 1
        missed += float(((x - gains[g] * book[found]) ** 2).sum()) / max(1, len(x))
    return {"gains": gains.astype(np.float16), "used": used, "missed": missed}


def _point(turned: np.ndarray, order: np.ndarray, width: int, size: int, pressure: float, energy: float) -> dict:
    rows = np.ascontiguousarray(grouped(turned, order, len(order) // width).transpose(0, 2, 1))
    books, counts = codebooks.fit(rows, size, pressure)
    books, counts = books.astype(np.float16), shares(counts)
    found = _gained(rows, books, counts, width, pressure)
    # few calibration vectors are all met exactly: no less than the rate-distortion function of their energy
    error = max(found["missed"] * unit(energy, len(turned)) ** 2, energy * size ** (-2 / width))
    return {"order": order, "error": np.array([error], np.float32), "books": books, "counts": counts,
            "gains": found["gains"]}  # fmt: skip


def shares(counts: np.ndarray) -> np.ndarray:
    """Counts (groups, entries) -> uint16 of sum about 60000, none zero."""
    return np.maximum(np.rint(counts / counts.sum(1, keepdims=True) * 60000), 1).astype(np.uint16)


def price(counts: np.ndarray, width: int, pressure: float) -> np.ndarray:
    """(groups, entries) -> what the bits of each entry cost in squared error, at the distortion that the rate promises
    (as in quantisers/codebooks.py); in units of `unit` squared."""
    bits = np.log2(counts.sum(1, keepdims=True) / counts)
    return pressure * 2 * np.log(2) * 2.0 ** (-2 * bits.mean() / width) * bits


class Product:
    """One tensor's transform and codebooks at one point."""

    def __init__(self, assets: Assets, name: str, label: str, width: int, pressure: float, orthonormal: bool) -> None:
        at = f"{name}/{label}"
        basis = assets.get(f"{at}/basis", assets.get(f"{name}/basis"))
        self.mean = assets[f"{name}/mean"].astype(np.float64)
        self.basis = None if basis is None else basis.astype(np.float64)
        self.energy, self.error = (float(assets[k][0]) for k in (f"{name}/energy", f"{at}/error"))
        self.order = assets[f"{at}/order"].astype(np.int64)
        self.books, counts = assets[f"{at}/books"].astype(np.float32), assets[f"{at}/counts"].astype(np.int64)
        self.gains = assets.get(f"{at}/gains", np.ones(len(counts))).astype(np.float64)
        self._search = codebooks.Search(self.books, price(counts, width, pressure))
        self.books = np.broadcast_to(self.books, (len(counts), *self.books.shape[1:]))
        self.tables = Rows(counts)
        self.unit = unit(self.energy, len(self.mean))
        self.analysis = None if basis is None else analysis(self.basis, orthonormal)
        self._skew = _skew(self.basis) if basis is not None and orthonormal else np.inf

    def usual_error(self, given: np.ndarray) -> float:
        """Mean squared error of vectors (dimension, n); 0 without any."""
        missed = self.rebuild(self.assign(given)).astype(np.float64) - given
        return float((missed**2).sum(0).mean()) if given.size else 0.0

    def assign(self, given: np.ndarray) -> np.ndarray:
        """(dimension, n) -> (groups, n) int32."""
        return self._search.nearest(grouped(self._turned(given), self.order, len(self.books)))

    def assign_within(self, given: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
        """As `assign`, and which vectors (n,) come back with a squared error of at most `limit`.

        A rotation keeps lengths: only vectors whose components are not far below the limit are rebuilt to be sure.
        """
        turned = self._turned(given)
        components = grouped(turned, self.order, len(self.books))
        indices = self._search.nearest(components)
        doubtful = np.ones(given.shape[1], bool)
        if self._skew < 1:
            missed = np.sqrt(((self._chosen(indices).transpose(0, 2, 1) - components) ** 2).sum((0, 1)))
            lost = self._skew * np.sqrt((turned**2).sum(0)) + np.sqrt(len(self.mean)) / SNAPPED
            doubtful = ~(((1 + self._skew) * missed + 2 * lost) * self.unit < 0.9 * np.sqrt(limit))
        within = ~doubtful
        if doubtful.any():
            missed = self.rebuild(indices[:, doubtful]).astype(np.float64) - given[:, doubtful]
            within[doubtful] = (missed**2).sum(0) <= limit
        return indices, within

    def _turned(self, given: np.ndarray) -> np.ndarray:
        """Components (dimension, n) float64 in units of `unit`."""
        turned = (given.astype(np.float64) - self.mean[:, None]) / self.unit
        return turned if self.analysis is None else self.analysis @ turned

    def _chosen(self, indices: np.ndarray) -> np.ndarray:
        """Entries after gains, (groups, n, width) float64."""
        chosen = self.books[np.arange(len(self.books))[:, None], indices]
        return chosen.astype(np.float64) * self.gains[:, None, None]

    def rebuild(self, indices: np.ndarray) -> np.ndarray:
        """(groups, n) -> (dimension, n) float32, equal on every machine."""
        flat = self._chosen(indices).transpose(0, 2, 1).reshape(len(self.order), indices.shape[1])
        components = np.zeros((len(self.mean), indices.shape[1]))
        kept = self.order < len(self.mean)
        components[self.order[kept]] = flat[kept]
        components *= self.unit
        vectors = components if self.basis is None else self.basis @ components
        return snap(vectors + self.mean[:, None], self.unit)


def _skew(basis: np.ndarray) -> float:
    """How far a basis rounded to float16 is from a rotation: a bound on what it changes of a vector's length."""
    narrow = basis.astype(np.float32)
    return float(np.linalg.norm(narrow.T @ narrow - np.eye(len(narrow), dtype=np.float32)))


def _dealt(variances: np.ndarray, width: int) -> np.ndarray:
    """Component of every place, group after group, so that groups have about equal products of variances; places
    without one hold the number of components. uint16."""
    groups = -(-len(variances) // width)
    logs = np.log(np.maximum(variances, 1e-12 * max(float(variances.max(initial=0)), 1e-60)))
    order, filled, products = np.full((groups, width), len(variances)), np.zeros(groups, int), np.zeros(groups)
    for component, log in enumerate(logs - logs.min(initial=0)):
        group = int(np.argmin(np.where(filled < width, products, np.inf)))
        order[group, filled[group]] = component
        filled[group] += 1
        products[group] += log
    return order.ravel().astype(np.uint16)


def grouped(turned: np.ndarray, order: np.ndarray, groups: int) -> np.ndarray:
    """(dimension, n) -> (groups, width, n), zeros where a group has no component left."""
    padded = np.concatenate([turned, np.zeros((1, turned.shape[1]), turned.dtype)])
    return padded[order.astype(np.int64)].reshape(groups, len(order) // max(groups, 1), turned.shape[1])


def unit(energy: float, dimension: int) -> float:
    """Root mean square of an entry of a vector."""
    return float(np.sqrt(energy / max(1, dimension)))


def _is_usual(columns: np.ndarray) -> np.ndarray:
    sizes = np.sqrt((columns.astype(np.float64) ** 2).mean(0))
    return sizes <= 3 * np.median(sizes) if len(sizes) else np.zeros(0, bool)
