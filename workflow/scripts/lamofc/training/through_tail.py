"""Rotations and codebooks of product quantisers trained by gradients through a frozen tail (ORFC).

Loss = bits per element + lambda x squared error of the tail's last feature over that feature's own variance. The
rotation is the Cayley transform of a skew matrix, after which each component has a scale, which says how much it counts
when an entry is chosen; a vector's index is soft in the gradient and hard in the value, and
softness is annealed. Lambda is such that at the start a gain of bits weighs as much as the point's neighbours on the
ladder say it should.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lamofc.interfaces import Sample, TensorSpec
from lamofc.models.torch_arrays import to_torch
from lamofc.quantisers import product
from lamofc.transforms import vectors

WIDTH = 8  # least dimensions of a group that are trained: finer points have no distortion worth the time
STEPS = 60
HELD_OUT = 6  # samples that judge what the others trained
RATES = {"skew": 2e-4, "scales": 1e-2, "books": 1e-3, "logits": 1e-2}
SOFTNESS = (1.0, 0.1)  # of the usual distortion of a group, first and last
_ESCAPE = 40.0


@dataclass(frozen=True)
class Tail:
    """feature: batch of one, received tensors by name -> the last feature; sides: per sample."""

    feature: Callable[[dict[str, torch.Tensor], dict[str, Any]], torch.Tensor]
    samples: Sequence[Sample]
    sides: Sequence[dict[str, Any]]


def train(
    codec: Any, books: product.Books, assets: Mapping[str, np.ndarray], specs: Sequence[TensorSpec], tail: Tail,
    log: Callable[[str], None] = print,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Assets with the points of wide groups trained; a point that gains nothing on samples held out stays."""
    out = dict(assets)
    problem = _Problem(tail, specs)
    labels = [label for label, (width, _) in books.items() if width >= WIDTH]
    starts = {label: _nets(assets, specs, label, books, codec.pressure) for label in labels}
    if not any(net.parameters for nets in starts.values() for net in nets.values()):
        log("nothing to train: no tensor has vectors to quantise")
        return out
    before = {label: problem.judge(nets) for label, nets in starts.items()}
    slopes = _slopes([before[label] for label in labels])
    for label, slope in zip(labels, slopes, strict=True):
        weight = 1 / (slope * max(before[label][1], 1e-9))
        log(f"{label}\tstart\tbits {before[label][0]:.4f}\tdistortion {before[label][1]:.5f}\tlambda {weight:.3g}")
        nets = starts[label]
        _descend(problem, nets, weight, label, log)
        made = {name: net.assets(problem.columns[name]) for name, net in nets.items()}
        changed = {f"{name}/{label}/{k}": v for name, found in made.items() for k, v in found.items()}
        bits, distortion = problem.judge(_nets(out | changed, specs, label, books, codec.pressure))
        gain = before[label][0] - bits + weight * (before[label][1] - distortion)
        log(f"{label}\tend\tbits {bits:.4f}\tdistortion {distortion:.5f}\t{'kept' if gain > 0 else 'no gain: dropped'}")
        if gain > 0:
            out |= changed
    return out


def _descend(problem: _Problem, nets: dict[str, _Net], weight: float, label: str, log: Callable[[str], None]) -> None:
    groups = [{"params": [p], "lr": RATES[k]} for net in nets.values() for k, p in net.parameters.items()]
    optimiser = torch.optim.Adam(groups)
    rng, total = np.random.default_rng(0), 0.0
    for step in range(STEPS):
        share = step / (STEPS - 1)
        softness = SOFTNESS[0] ** (1 - share) * SOFTNESS[1] ** share
        for group, rate in zip(optimiser.param_groups, [g["lr"] for g in groups], strict=True):
            group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * share))
        optimiser.zero_grad()
        bits, distortion = problem.step(nets, int(rng.integers(problem.count)), weight, softness)
        optimiser.step()
        total += bits + weight * distortion
        if step % 10 == 9:
            log(f"{label}\tstep {step + 1}\tloss {total / 10:.4f}")
            total = 0.0


def _slopes(points: Sequence[tuple[float, float]]) -> np.ndarray:
    """How fast the logarithm of distortion falls with bits at each point, at least as fast as at high rate."""
    bits, logs = np.array([p[0] for p in points]), np.log([max(p[1], 1e-9) for p in points])
    order = np.argsort(bits)
    slopes = np.full(len(points), 2 * np.log(2))
    if len(points) > 1 and np.all(np.diff(bits[order]) > 0):
        slopes[order] = np.maximum(slopes, -np.gradient(logs[order], bits[order]))
    return slopes


class _Problem:
    """Calibration samples and what the tail makes of them; the last ones are held out."""

    def __init__(self, tail: Tail, specs: Sequence[TensorSpec]) -> None:
        self.tail = tail
        self.specs = {s.name: replace(s, dtype="float32") for s in specs}
        self.count = max(1, len(tail.samples) - HELD_OUT)
        self._references: dict[int, tuple[torch.Tensor, float]] = {}
        parts = [[vectors.to_vectors(s[name], spec) for s in tail.samples[: self.count]]
                 for name, spec in self.specs.items()]  # fmt: skip
        self.columns = {name: np.concatenate(p, 1) for name, p in zip(self.specs, parts, strict=True)}

    def step(self, nets: dict[str, _Net], number: int, weight: float, softness: float) -> tuple[float, float]:
        """Gradients into the nets; bits per element and distortion."""
        sample = self.tail.samples[number]
        given = {n: torch.from_numpy(vectors.to_vectors(sample[n], s)) for n, s in self.specs.items()}
        coded = {n: nets[n](x, softness) for n, x in given.items()}
        distortion, gradients = self._distortion(number, {n: x.detach() for n, (x, _) in coded.items()}, True)
        elements = sum(x.numel() for x in given.values())
        bits = sum(b for _, b in coded.values()) / elements
        # the tail's gradient enters as numbers, so that the tail and the nets need not share a graph
        surrogate = sum((torch.from_numpy(gradients[n]) * x).sum() for n, (x, _) in coded.items())
        (bits + weight * surrogate).backward()
        return float(bits.detach()), distortion

    def judge(self, nets: dict[str, _Net]) -> tuple[float, float]:
        """Mean bits per element and distortion of the samples held out (all where there are few)."""
        numbers = range(self.count, len(self.tail.samples)) or range(len(self.tail.samples))
        found = [self._judged(nets, number) for number in numbers]
        return tuple(np.mean(found, 0).tolist())

    def _judged(self, nets: dict[str, _Net], number: int) -> tuple[float, float]:
        sample, coded, bits, elements = self.tail.samples[number], {}, 0.0, 0
        for name, spec in self.specs.items():
            given = vectors.to_vectors(sample[name], spec)
            coded[name], own = nets[name].coded(given)
            bits, elements = bits + own, elements + given.size
        return bits / max(1, elements), self._distortion(number, coded, False)[0]

    def _distortion(self, number: int, coded: Mapping[str, Any], gradient: bool) -> tuple[float, dict[str, np.ndarray]]:
        sample, side = self.tail.samples[number], self.tail.sides[number]
        received = {n: to_torch(a)[None].float() for n, a in sample.items()}
        for name, spec in self.specs.items():
            array = vectors.from_vectors(np.asarray(coded[name], np.float32), spec, sample[name].shape)
            received[name] = to_torch(array)[None].requires_grad_(gradient)
        reference, variance = self._reference(number)
        with torch.set_grad_enabled(gradient):
            error = ((self.tail.feature(received, side) - reference) ** 2).mean() / variance
            if not gradient:
                return float(error), {}
            wanted = [received[n] for n in self.specs]
            found = torch.autograd.grad(error, wanted, allow_unused=True)
        # undoing a rotation by position is orthogonal: it takes gradients as it takes vectors
        gradients = {
            name: vectors.to_vectors((torch.zeros_like(x) if g is None else g)[0].cpu().numpy(), spec)
            for (name, spec), x, g in zip(self.specs.items(), wanted, found, strict=True)
        }
        return float(error.detach()), gradients

    @torch.no_grad()
    def _reference(self, number: int) -> tuple[torch.Tensor, float]:
        if number not in self._references:
            received = {n: to_torch(a)[None].float() for n, a in self.tail.samples[number].items()}
            feature = self.tail.feature(received, self.tail.sides[number])
            self._references[number] = feature, max(float(feature.var()), 1e-12)
        return self._references[number]


def _nets(assets: Mapping[str, np.ndarray], specs: Sequence[TensorSpec], label: str, books: product.Books,
          pressure: float) -> dict[str, _Net]:  # fmt: skip
    return {s.name: _Net(assets, s.name, label, books[label][0], pressure) for s in specs}


class _Net:
    """A tensor's product quantiser as a differentiable function; its rotation and codebooks are its parameters."""

    def __init__(self, assets: Mapping[str, np.ndarray], name: str, label: str, width: int, pressure: float) -> None:
        self.start = product.Product(assets, name, label, width, pressure, False)
        self.width, self.pressure, at = width, pressure, f"{name}/{label}"
        self.counts = assets[f"{at}/counts"].astype(np.float64)
        size, first = len(self.start.mean), assets.get(f"{name}/first")
        self.apart = 0 if first is None else first.shape[1]  # tokens under finer books, which are not trained
        self.parameters = {
            "skew": torch.zeros(size, size, requires_grad=True),
            "scales": torch.zeros(size, requires_grad=True),
            "books": torch.tensor(self.start.books, requires_grad=True),
            "logits": torch.tensor(np.log(self.counts), dtype=torch.float32, requires_grad=True),
        }
        self._forward = torch.tensor(self.start.analysis / self.start.unit, dtype=torch.float32)
        self._backward = torch.tensor(self.start.basis * self.start.unit, dtype=torch.float32)
        self._mean = torch.tensor(self.start.mean, dtype=torch.float32)[:, None]
        self._gains = torch.tensor(self.start.gains, dtype=torch.float32)[:, None, None]
        self._order = torch.tensor(self.start.order)
        self._prices = torch.tensor(product.price(self.counts, width, pressure), dtype=torch.float32)
        self._places = torch.tensor(np.argsort(self.start.order, kind="stable")[:size])

    def rotation(self) -> torch.Tensor:
        """Cayley: (I + A)^-1 (I - A), A skew."""
        skew = torch.triu(self.parameters["skew"], 1)
        skew, one = skew - skew.T, torch.eye(len(skew))
        return torch.linalg.solve(one + skew, one - skew)

    def __call__(self, given: torch.Tensor, softness: float) -> tuple[torch.Tensor, torch.Tensor]:
        """(dimension, n) -> the same decoded, and its bits. Vectors that would be sent as they are come back exact."""
        rotation, books = self.rotation(), self.parameters["books"]
        scales = torch.exp(self.parameters["scales"])[:, None]
        turned = scales * (rotation.T @ (self._forward @ (given - self._mean)))
        padded = torch.cat([turned, turned.new_zeros(1, turned.shape[1])])
        x = padded[self._order].reshape(len(books), -1, given.shape[1]).transpose(1, 2)  # (groups, n, width)
        distance = (x**2).sum(2, True) - 2 * x @ books.transpose(1, 2) + (books**2).sum(2)[:, None]
        cost = distance + self._prices[:, None]
        hard = cost.detach().argmin(2)
        scale = softness * distance.detach().gather(2, hard[..., None]).mean((1, 2), True).clamp_min(1e-9)
        soft = torch.softmax(-cost / scale, 2)
        weights = torch.nn.functional.one_hot(hard, books.shape[1]) + soft - soft.detach()
        lengths = -torch.log_softmax(self.parameters["logits"], 1) / np.log(2)
        decoded = (weights @ (books * self._gains)).transpose(1, 2).reshape(-1, given.shape[1])[self._places]
        decoded = self._backward @ (rotation @ (decoded / scales)) + self._mean
        exact = ((decoded - given) ** 2).sum(0) > _ESCAPE * self.start.error
        exact[: self.apart] = True
        return torch.where(exact, given, decoded), (weights * lengths[:, None]).sum()

    def coded(self, given: np.ndarray) -> tuple[np.ndarray, float]:
        """As the codec decodes it, and its bits, from the assets that the net began with."""
        indices = self.start.assign(given)
        decoded = self.start.rebuild(indices)
        exact = ~(((decoded.astype(np.float64) - given) ** 2).sum(0) <= _ESCAPE * self.start.error)
        exact[: self.apart] = True
        lengths = np.log2(self.counts.sum(1, keepdims=True) / self.counts)
        bits = (
            np.take_along_axis(lengths, indices, 1)[:, ~exact].sum() + 32.0 * given.shape[0] * exact[self.apart :].sum()
        )
        return np.where(exact, given, decoded), float(bits)

    @torch.no_grad()
    def assets(self, columns: np.ndarray) -> dict[str, np.ndarray]:
        """What the point's assets become; counts are of the calibration vectors under the trained books."""
        scales = torch.exp(self.parameters["scales"]).double().numpy()
        basis = (self.start.basis @ self.rotation().double().numpy() / scales).astype(np.float16)
        books = self.parameters["books"].numpy().astype(np.float16)
        shares = product.shares(torch.softmax(self.parameters["logits"], 1).double().numpy())
        trained = replaced(self.start, basis, books, shares, self.width, self.pressure)
        indices = trained.assign(columns)
        counts = np.stack([np.bincount(row, minlength=books.shape[1]) for row in indices])
        shares = product.shares(np.maximum(counts, 0.5))
        error = np.array([replaced(self.start, basis, books, shares, self.width, self.pressure).usual_error(columns)])
        return {"basis": basis, "books": books, "counts": shares,
                "error": np.maximum(error, 1e-30).astype(np.float32)}  # fmt: skip


def replaced(
    start: product.Product, basis: np.ndarray, books: np.ndarray, counts: np.ndarray, width: int, pressure: float
) -> product.Product:
    """A product quantiser with other numbers in it."""
    assets = {"t/mean": start.mean, "t/basis": basis, "t/energy": [start.energy], "t/p/order": start.order,
              "t/p/books": books, "t/p/counts": counts, "t/p/error": [start.error],
              "t/p/gains": start.gains}  # fmt: skip
    return product.Product(assets, "t", "p", width, pressure, False)
