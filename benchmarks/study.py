"""What is predictable from what, tensor by tensor: Gaussian rates with and without each part, on features of a run.

    python benchmarks/study.py CURVE [CURVE ...] [--results results] [--error 0.01] [--figure study]

Bits per entry at a squared error of `--error` times the tensor's variance, as a Gaussian code with variances of the
calibration samples spends them on the test samples: per channel; with a mean for every place (states, latents and
embeddings; the first four tokens otherwise); after a KLT; the KLT of what the vector before, or a DCT, leaves; of what
the tensors that `tailor` predicts from leave; and what the metric of the tail adds to the best of them. For latents
also bits of rounded components when the scale is known per component, and when it follows neighbours decoded already.
Then the share of a tensor's variance that is linear in another's vectors at the same place, or in their mean over
places; and sensitivities. `--figure` draws the first table of all curves.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import study_figure
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from lamofc.interfaces import Sample, TensorSpec  # noqa: E402
from lamofc.store import FeatureReader  # noqa: E402
from lamofc.transforms import klt, positions, prediction, vectors  # noqa: E402

COLUMNS = ("tensor", "kind", "entries", "channels", "+ places", "+ KLT", "+ before", "+ DCT", "+ others", "metric")
FOLDS = 6
NOISES = (0.1, 1, 10, 100, 1000)  # times the error that the study is made for
Pair = tuple[list[np.ndarray], list[np.ndarray]]  # calibration, test: a (dimension, n) matrix per sample


@dataclass
class Study:
    """Centred vectors of one curve, and the rates of one tensor after another."""

    specs: list[TensorSpec]
    calibration: list[Sample]
    test: list[Sample]
    error: float

    def __post_init__(self) -> None:
        self.raw: dict[str, Pair] = {}
        self.placed: dict[str, Pair] = {}
        self.level: dict[str, float] = {}
        for spec in self.specs:
            found = tuple([vectors.to_vectors(s[spec.name], spec).astype(np.float64) for s in part]
                          for part in (self.calibration, self.test))  # fmt: skip
            mean = np.concatenate(found[0], 1).mean(1, keepdims=True)
            self.raw[spec.name] = tuple([x - mean for x in part] for part in found)
            self.placed[spec.name] = self._placed(spec, self.raw[spec.name])
            self.level[spec.name] = self.error * np.square(np.concatenate(self.raw[spec.name][0], 1)).mean()

    def _placed(self, spec: TensorSpec, pair: Pair) -> Pair:
        """A mean for every place that all samples have; for the first four of tokens and caches."""
        same = len({x.shape[1] for part in pair for x in part}) == 1
        grid = spec.attributes.get("grid") is not None
        last = pair[0][0].shape[1] if same and not grid and spec.kind != "pooled" else positions.apart(spec)
        means = []
        for p in range(last):
            there = [x[:, p] for x in pair[0] if x.shape[1] > p]
            means.append(np.sum(there, 0) / (len(there) + 1))
        return tuple([x - _wide(means, x.shape) for x in part] for part in pair)

    def rates(self, spec: TensorSpec, metric: np.ndarray | None) -> list[float]:
        raw, placed, level = self.raw[spec.name], self.placed[spec.name], self.level[spec.name]
        out = [_rate(raw, None, level), _rate(placed, None, level), _rate(placed, _basis(placed), level)]
        before = _residual(placed, tuple([_shifted(x) for x in part] for part in placed), level)
        out.append(_rate(before, _basis(before), level) if placed[0][0].shape[1] > 1 else np.nan)
        blocks = [b for b in positions.candidates(spec) if b != (1, 1)]
        out.append(min((self._block(spec, b, level) for b in blocks), default=np.nan))
        sources = prediction.sources(spec, self.specs)
        left = placed
        if sources:
            joined = tuple([np.concatenate(x) for x in zip(*(self.placed[n][i] for n in sources), strict=True)]
                           for i in (0, 1))  # fmt: skip
            left = _residual(placed, joined, np.mean([self.level[n] for n in sources]))
        out.append(_rate(left, _basis(left), level) if sources else np.nan)
        out.append(_gain(metric) if metric is not None else np.nan)
        return out

    def _block(self, spec: TensorSpec, block: tuple[int, int], level: float) -> float:
        first, basis = positions.apart(spec), _basis(self.placed[spec.name])
        parts = []
        for part in self.placed[spec.name]:
            layouts = [positions.Layout(x.shape[1], first, block) for x in part]
            parts.append([(y.transform((basis @ x).astype(np.float32))[:, first:], y.frequencies())
                          for x, y in zip(part, layouts, strict=True)])  # fmt: skip
        total = np.zeros((len(basis), block[0] * block[1]))
        count = np.zeros(total.shape[1])
        for coded, where in parts[0]:
            np.add.at(total.T, where, np.square(coded.T))
            np.add.at(count, where, 1)
        model = total / np.maximum(count, 1)
        bits = [_bits(np.square(c), model[:, w], level).sum() for c, w in parts[1]]
        return float(sum(bits) / max(1, sum(c.size for c, _ in parts[1])))

    def alike(self, target: str, source: str) -> float:
        """Share of the target's variance in the test samples that is linear in the source; NaN where neither fits."""
        a, b = self.placed[target], self.placed[source]
        if any(x.shape[1] != y.shape[1] for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)):
            if any(x.shape[1] != 1 for part in a for x in part):
                return np.nan
            b = tuple([x.mean(1, keepdims=True) for x in part] for part in b)
        left = np.square(np.concatenate(_residual(a, b, self.level[source])[1], 1)).sum()
        return 1 - float(left / np.square(np.concatenate(a[1], 1)).sum())


def neighbourhood(pair: Pair, shape: tuple[int, int], level: float) -> tuple[float, float]:
    """Bits per entry of rounded components (channels, rows x columns): Laplace scales of each, or by neighbours."""
    basis, step = _basis(pair), np.sqrt(12 * level)
    parts = [np.rint(np.stack([basis @ x for x in part]) / step).reshape(len(part), -1, *shape) for part in pair]
    out = []
    for causal in (False, True):
        groups = [
            np.broadcast_to(np.arange(q.shape[1])[:, None, None] * 64, q.shape) + causal * _activity(q) for q in parts
        ]
        total, count = (np.bincount(groups[0].ravel(), w, 64 * len(basis)) for w in (np.abs(parts[0]).ravel(), None))
        size = np.maximum((total + 0.1) / (count + 1), 1e-3)[groups[1]]  # mean size -> ratio of a two-sided geometric
        ratio = (np.sqrt(1 + size**2) - 1) / size
        bits = np.log2((1 + ratio) / (1 - ratio)) - np.abs(parts[1]) * np.log2(ratio)
        out.append(float(bits.mean()))
    return tuple(out)


def _activity(q: np.ndarray) -> np.ndarray:
    """Sizes left, above and beside above in a component, and of earlier components here, in 64 classes."""
    size = np.pad(np.abs(q), ((0, 0), (0, 0), (1, 1), (1, 1)))
    near = 2 * size[..., 1:-1, :-2] + 2 * size[..., :-2, 1:-1] + size[..., :-2, :-2] + size[..., :-2, 2:]
    earlier = np.cumsum(np.abs(q), 1) - np.abs(q)
    return np.minimum(4 * np.log2(1 + near + earlier), 63).astype(int)


def _wide(means: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    out = np.zeros(shape)
    for p, mean in enumerate(means[: shape[1]]):
        out[:, p] = mean
    return out


def _shifted(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], 1)


def _residual(targets: Pair, inputs: Pair, noise: float) -> Pair:
    """What linear maps of the inputs, which carry errors of variance `noise` or more, leave of the targets.

    Each sixth of the calibration samples is foretold by a map of the others, which also chooses the noise: what a map
    leaves of its own samples says little where there are fewer vectors than entries.
    """
    best, numbers = None, np.arange(len(targets[0]))
    for weight in NOISES:
        left = list(targets[0])
        for fold in range(min(FOLDS, len(left))):
            linear = _map(*([p[0][i] for i in numbers if i % FOLDS != fold] for p in (targets, inputs)), noise * weight)
            for i in numbers[fold::FOLDS]:
                left[i] = targets[0][i] - linear @ inputs[0][i]
        power = sum(np.square(x).sum() for x in left)
        if best is None or power < best[0]:
            best = power, left, weight
    linear = _map(*(p[0] for p in (targets, inputs)), noise * best[2])
    return best[1], [x - linear @ y for x, y in zip(targets[1], inputs[1], strict=True)]


def _map(targets: list[np.ndarray], inputs: list[np.ndarray], noise: float) -> np.ndarray:
    wide = np.concatenate(inputs, 1)
    return prediction.regression(np.concatenate(targets, 1), wide, noise * np.eye(len(wide)))


def _covariance(pair: Pair) -> np.ndarray:
    joined = np.concatenate(pair[0], 1)
    return klt.towards_diagonal(joined @ joined.T / joined.shape[1], joined.shape[1])


def _basis(pair: Pair) -> np.ndarray:
    return klt.basis(_covariance(pair))[0].T


def _rate(pair: Pair, basis: np.ndarray | None, level: float) -> float:
    joined = [np.concatenate(part, 1) for part in pair]
    model, seen = (np.square(x if basis is None else basis @ x).mean(1) for x in joined)
    if basis is not None:
        model = np.maximum(model, np.einsum("ij,jk,ik->i", basis, _covariance(pair), basis))
    return float(_bits(seen, model, level).mean())


def _bits(seen: np.ndarray, model: np.ndarray, level: float) -> np.ndarray:
    """Code length of variances `seen` under those of the model, both with an error of variance `level` added."""
    return 0.5 * np.log2(1 + model / level) + 0.5 * np.log2(np.e) * ((seen + level) / (model + level) - 1)


def _gain(metric: np.ndarray) -> float:
    """Bits per entry that the metric saves where all components are coded: arithmetic over geometric mean."""
    values = np.linalg.eigvalsh(klt.shrunk(metric.astype(np.float64)))
    return float(-0.5 * (np.log2(values.mean()) - np.log2(values).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="+", metavar="CURVE")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--error", type=float, default=0.01)
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--figure", type=Path)
    options, drawn = parser.parse_args(), {}
    for curve in options.curves:
        stores = [FeatureReader(options.results / f"features/{curve}/{part}.zarr") for part in ("calibration", "test")]
        study = Study(
            list(stores[0].specs), *(list(s.read(0, min(len(s), options.samples))) for s in stores), options.error
        )
        path = options.results / f"sensitivity/{curve}.safetensors"
        held = load_file(path) if path.exists() else {}
        print(f"\n{curve}\n" + "\t".join(COLUMNS))
        for spec in study.specs:
            found = study.rates(spec, held.get(spec.name))
            cells = ["" if np.isnan(v) else f"{v:.2f}" for v in found]
            drawn.setdefault(curve, []).append((spec.kind, found[:-1]))  # the last is a difference
            print("\t".join([spec.name, spec.kind, str(vectors.dimension(spec)), *cells]), flush=True)
        for spec in [s for s in study.specs if s.kind == "latent"]:
            alone, near = neighbourhood(study.raw[spec.name], spec.shape[1:], study.level[spec.name])
            print(f"{spec.name}: {alone:.2f} bits when rounded, {near:.2f} with scales that follow neighbours")
        names = [s.name for s in study.specs]
        print("explained (%)\t" + "\t".join(names))
        for a in names:
            cells = ["" if a == b or np.isnan(v := study.alike(a, b)) else f"{100 * v:.0f}" for b in names]
            print(f"{a}\t" + "\t".join(cells), flush=True)
        for name in [n for n in names if n in held]:
            edges = [" ".join(f"{v:.2g}" for v in held[f"{name}/{e}"][:8]) for e in ("start", "end")]
            share = np.trace(held[name]) / len(held[name]) * np.square(np.concatenate(study.raw[name][0], 1)).mean()
            print(f"{name}: sensitivity x variance {share:.3g}; first {edges[0]}; last {edges[1]}", flush=True)
    if options.figure:
        study_figure.save(drawn, COLUMNS[3:-1], options.figure)


if __name__ == "__main__":
    main()
