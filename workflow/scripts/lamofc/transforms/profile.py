"""What calibration finds out about one tensor, as small arrays: means, prediction, transform, scales.

Assets of tensor t: `t/mean` (dimension,) and `t/first` (first positions, dimension) float16 or float32, `t/predict`
(dimension, inputs) float16, `t/synthesis` (dimension, dimension) float16 with components as columns, to be
multiplied by `t/scale`, `t/block`
(2,) uint16, `t/levels` (dimension, frequencies) uint8, `t/first_levels` (dimension, first positions) uint8, `t/weights`
(first positions + LAST,) float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamofc.entropy import bank
from lamofc.interfaces import TensorSpec
from lamofc.quantisers import reference
from lamofc.transforms import klt, per_channel, positions, prediction, vectors

LEVEL_ORIGIN = 128  # level of a component whose standard deviation is one unit; quarter octaves
LAST = 8  # last positions that have a weight of their own
TYPICAL_STEP = 0.5  # the step for which block sizes are chosen
PREDICTED_STEP = 1.0  # the step whose errors predictions are made for: about where tasks begin to suffer
_ENOUGH = 2  # calibration vectors per entry of one, from which a covariance is taken as it is
_WORTH = 0.97  # a block transform must save three per cent


def levels(sigma: np.ndarray) -> np.ndarray:
    """Standard deviations in units -> uint8 levels."""
    logs = np.log2(np.maximum(np.asarray(sigma, np.float64), 2.0**-31))
    return np.clip(np.rint(bank.PER_OCTAVE * logs) + LEVEL_ORIGIN, 0, 255).astype(np.uint8)


def tables(found: np.ndarray, step: float) -> np.ndarray:
    """Levels -> bank indices for a step given in units. int32, same shape."""
    offset = bank.ORIGIN - LEVEL_ORIGIN - bank.quarter_octaves(step)
    return np.clip(found.astype(np.int32) + offset, 0, bank.MAX_INDEX)


@dataclass
class Calibration:
    """Vectors of one tensor, a matrix per sample, with its metric; `fit` leaves `centred` for later tensors."""

    spec: TensorSpec
    samples: list[np.ndarray]  # (dimension, count) float32 each
    metric: np.ndarray  # (dimension, dimension), positive definite; 1 unit of error is v^T metric v = 1
    edges: bool = True  # whether first positions are kept apart

    def __post_init__(self) -> None:
        self.first = positions.apart(self.spec) if self.edges else 0
        self.weights = np.ones(self.first + LAST)  # square root of how much errors at edge positions matter
        body = np.concatenate([s[:, self.first :] for s in self.samples], 1)
        self.entries = per_channel.entries(self.samples) if per_channel.applies(self.spec, self.samples) else None
        self.usual = usual_columns(body, self.spec)
        usual = body[:, self.usual]
        self.mean = _centre(usual, self.spec) if usual.size else np.zeros(len(body))
        self.firsts = (
            np.stack([self._first_mean(p) for p in range(self.first)]) if self.first else np.zeros((0, len(body)))
        )
        self.centred = [s - self.means(s.shape[1]) for s in self.samples]

    def _first_mean(self, position: int) -> np.ndarray:
        found = [s[:, position] for s in self.samples if s.shape[1] > position]
        return (np.sum(found, 0, dtype=np.float64) + self.mean) / (len(found) + 1) if found else self.mean

    def means(self, count: int) -> np.ndarray:
        """(dimension, count) float32."""
        if self.entries is not None:
            return self.entries[0].astype(np.float32) * np.float32(self.entries[1])
        return spread(self.mean, self.firsts.T, count)

    def body(self, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """Usual columns of per-sample matrices, first positions left out."""
        return np.concatenate([m[:, self.first :] for m in matrices], 1)[:, self.usual]

    def power(self) -> float:
        """Mean square of an entry in the metric."""
        found = self.body(self.centred).astype(np.float64)
        return float(np.einsum("in,ij,jn->", found, self.metric, found)) / max(1, found.size)


def usual_columns(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """(dimension, n) -> (n,) bool: those with a say in statistics; tokens of unusual size, attention sinks, have none.

    All of other tensors: in a latent the large columns are the picture and the many small ones its background.
    """
    return reference.is_usual(values) if spec.kind in positions.SEQUENCES else np.ones(values.shape[1], bool)


def _centre(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """(dimension, n) -> (dimension,) float64: what zeros stand for. Of latents the median, which is the background."""
    return np.median(values, 1).astype(np.float64) if spec.kind == "latent" else values.mean(1, dtype=np.float64)


def spread(mean: np.ndarray, first: np.ndarray, count: int) -> np.ndarray:
    """Values of the body (dimension,) and of the first positions (dimension, n) -> (dimension, count) float32."""
    out = np.repeat(np.asarray(mean, np.float32)[:, None], count, 1)
    out[:, : first.shape[1]] = first[:, :count]
    return out


def column_weights(weights: np.ndarray, first: int, count: int) -> np.ndarray:
    """Weights of the first and last positions, 1 elsewhere. (count,) float32."""
    out = np.ones(count, np.float32)
    last = weights[first:][:count]
    if last.size:
        out[count - len(last) :] = last[::-1]
    head = weights[:first][:count]
    out[: len(head)] = head
    return out


def fit(own: Calibration, inputs: Sequence[Calibration], name: str, blocks: bool = True) -> dict[str, np.ndarray]:
    """Assets of one tensor; its metric is in units already."""
    joined = [np.concatenate(parts) for parts in zip(*(c.centred for c in inputs), strict=True)] if inputs else []
    predict = np.zeros((len(own.mean), 0))
    spread_error = np.zeros_like(own.metric)
    residual = own.centred
    if joined:
        noise = _noise(inputs)
        predict = prediction.regression(own.body(own.centred), own.body(joined), noise).astype(np.float16)
        residual = [z - predict.astype(np.float32) @ x for z, x in zip(own.centred, joined, strict=True)]
        spread_error = predict.astype(np.float64) @ noise @ predict.astype(np.float64).T
    alike, extra = _alike(own, residual, name)
    covariance = klt.moments(own.body(alike))[1] + spread_error
    few = own.body(alike).shape[1] < _ENOUGH * len(own.mean)
    if few:
        covariance = klt.towards_diagonal(covariance, own.body(alike).shape[1])
    _, synthesis, variances = klt.weighted(covariance, own.metric)
    synthesis, scale = _stored(synthesis)
    analysis = np.linalg.inv(synthesis.astype(np.float64) * scale).astype(np.float32)
    components = [column_weights(own.weights, own.first, r.shape[1]) * (analysis @ r) for r in alike]
    block, spreads = _choose_block(own, components, blocks)
    if few:  # components look smaller on the samples that they were fitted to
        spreads = np.maximum(spreads, np.sqrt(variances)[:, None])
    found = {
        "mean": own.mean.astype(np.float32),
        "first": own.firsts.astype(np.float32),
        "predict": predict,
        "synthesis": synthesis,
        "scale": np.array([scale], np.float32),
        "block": np.array(block, np.uint16),
        "levels": levels(spreads),
        "first_levels": levels(_first_scales(own, components)),
        "weights": own.weights.astype(np.float32),
    }
    return {f"{name}/{part}": array for part, array in found.items()} | extra


def _alike(
    own: Calibration, residual: Sequence[np.ndarray], name: str
) -> tuple[Sequence[np.ndarray], dict[str, np.ndarray]]:
    """Residuals with the scales of channels taken out where these are calibrated, and the assets that tell them."""
    if own.entries is None:
        return residual, {}
    found = per_channel.levels(per_channel.scales(residual))
    scales = np.exp2((found.astype(np.float64) - per_channel.ORIGIN) / bank.PER_OCTAVE).astype(np.float32)
    mean, factor = own.entries
    extra = {"entries": mean, "entries_scale": np.array([factor], np.float32), "channels": found}
    return [r / scales for r in residual], {f"{name}/{part}": array for part, array in extra.items()}


def _stored(synthesis: np.ndarray) -> tuple[np.ndarray, float]:
    """float16 matrix of entries about one, and the factor taken out of it."""
    scale = float(np.float32(np.abs(synthesis).max(initial=0) or 1.0))
    return (synthesis / scale).astype(np.float16), scale


def _noise(inputs: Sequence[Calibration]) -> np.ndarray:
    """Covariance of the quantisation errors of joined tensors at the step that predictions are made for."""
    sizes = [len(c.mean) for c in inputs]
    out, at = np.zeros((sum(sizes), sum(sizes))), 0
    for c, size in zip(inputs, sizes, strict=True):
        out[at : at + size, at : at + size] = PREDICTED_STEP**2 / 12 * np.linalg.inv(c.metric)
        at += size
    return out


def _choose_block(
    own: Calibration, components: Sequence[np.ndarray], blocks: bool
) -> tuple[tuple[int, int], np.ndarray]:
    best = None
    for block in positions.candidates(own.spec) if blocks else [(1, 1)]:
        found = _scales(own, components, block)
        bits = float(np.log2(1 + (found / TYPICAL_STEP) ** 2 * 2).sum()) / found.shape[1]
        if best is None or bits < _WORTH * best[0]:
            best = bits, block, found
    return best[1], best[2]


def _scales(own: Calibration, components: Sequence[np.ndarray], block: tuple[int, int]) -> np.ndarray:
    """Standard deviation of a Laplace variable of equal mean size, per component and frequency."""
    size = block[0] * block[1]
    total, count = np.zeros((len(own.mean), size)), np.zeros(size)
    for matrix in components:
        layout = positions.Layout(matrix.shape[1], own.first, block)
        coded, where = np.abs(layout.transform(matrix)[:, own.first :]), layout.frequencies()
        if size == 1:
            usual = usual_columns(coded, own.spec)
            coded, where = coded[:, usual], where[usual]
        for f in range(size):
            chosen = where == f
            total[:, f] += coded[:, chosen].sum(1, dtype=np.float64)
            count[f] += chosen.sum()
    return np.sqrt(2) * (total + 1e-12) / np.maximum(count, 1)


def _first_scales(own: Calibration, components: Sequence[np.ndarray]) -> np.ndarray:
    out = np.ones((len(own.mean), own.first))
    for p in range(own.first):
        found = [np.abs(c[:, p]) for c in components if c.shape[1] > p]
        out[:, p] = np.sqrt(2) * np.mean(found, 0) if found else 1.0
    return np.maximum(out, 0.01)


def gather(specs: Sequence[TensorSpec], samples: Sequence[dict[str, np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Vectors of every tensor, per sample."""
    return {s.name: [vectors.to_vectors(x[s.name], s) for x in samples] for s in specs}
