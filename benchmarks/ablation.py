"""What each part of tailor buys: damage against rate with one part switched off, through the real tail.

    python benchmarks/ablation.py CURVE [--samples 24] [--results results] [--arms full,...] [--steps .4,1.6]

Needs what the workflow made for CURVE: features, sensitivity (for `metric task` that of the answer), readout, model and
data set. Prints, per arm, the rate, mean damage and score of every point, and the mean difference in rate from the full
codec at equal damage (log-linear between points) and at equal score (BD-rate), each with a 95 % interval from paired
resampling of samples.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from lamofc import bd, features, models, packet, tasks  # noqa: E402
from lamofc.codecs import kvtc, tailor, uq_ec  # noqa: E402
from lamofc.interfaces import Sample  # noqa: E402
from lamofc.jsonio import read_lines  # noqa: E402
from lamofc.models import whisper  # noqa: E402
from lamofc.store import FeatureReader  # noqa: E402

STEPS = (0.4, 0.8, 1.6, 3.2)
RESAMPLES = 500
ARMS = {
    "full": tailor.Codec(),
    "contexts off (fast)": tailor.Codec(contexts=False),
    "metric task": tailor.Codec(metric="task"),
    "metric none": tailor.Codec(metric="none"),
    "prediction off": tailor.Codec(predict=False),
    "blocks off": tailor.Codec(blocks=False),
    "edges off": tailor.Codec(edges=False),
    "kvtc": kvtc.Codec(),
    "uq-ec": uq_ec.Codec(),
}


@dataclass(frozen=True)
class Found:
    """Bytes and damage (points, samples); outcomes {name: (points, samples)} and what makes a score of them."""

    sizes: np.ndarray
    damage: np.ndarray
    outcomes: dict[str, np.ndarray]
    task: object

    def scores(self, chosen: np.ndarray) -> np.ndarray:
        return self.task.score({k: v[:, chosen] for k, v in self.outcomes.items()})


class Bench:
    """A curve's features, its tail, and the outputs of the uncompressed run."""

    def __init__(self, curve: str, results: Path, count: int) -> None:
        rows = {r["curve"]: r for r in csv.DictReader((ROOT / "config/scenarios.tsv").open(), delimiter="\t")}
        row = rows[curve]
        model_row = yaml.safe_load((ROOT / "config/models.yaml").read_text())[row["model"]]
        weights, dataset = ROOT / "resources/models" / row["model"], ROOT / "resources/data" / row["dataset"]
        rule = yaml.safe_load((ROOT / "config/readouts.yaml").read_text()).get(row["readout"])
        readout = results / f"readouts/{row['readout']}.safetensors" if rule else None
        name = rule["kind"] if rule else None if row["readout"] in ("", "-") else row["readout"]
        self.model = models.build(model_row, weights, row["split"], name, readout)
        self.task = tasks.build(row["task"], dataset, weights)
        self.calibration = list(FeatureReader(results / f"features/{curve}/calibration.zarr"))
        store = FeatureReader(results / f"features/{curve}/test.zarr")
        self.specs, self.samples = store.specs, list(store.read(0, min(count, len(store))))
        self.lines = list(read_lines(results / f"features/{curve}/test.jsonl"))[: len(self.samples)]
        self.elements = sum(map(features.elements, self.samples))
        of_feature, of_answer = (results / f"{d}/{curve}.safetensors" for d in ("sensitivity", "sensitivity-answer"))
        self.sensitivity = load_file(of_feature) if of_feature.exists() else None
        self.of_answer = of_answer

    def measure(self, codec: object, steps: Sequence[float] = STEPS) -> Found:
        """Bytes, damage and outcomes along the steps."""
        with threadpool_limits(1):
            assets = self._assets(codec)
            points = [self._point(replace(codec, step=s).coder(self.specs, assets)) for s in steps]
        sizes, damage, outcomes = zip(*points, strict=True)
        by_name = {k: np.array([[o[k] for o in point] for point in outcomes]) for k in outcomes[0][0]}
        return Found(np.array(sizes, float), np.array(damage), by_name, self.task)

    def _assets(self, codec: object) -> dict[str, np.ndarray]:
        if not hasattr(codec, "fit_with"):
            return codec.fit(self.specs, self.calibration)
        task = getattr(codec, "metric", None) == "task"
        return codec.fit_with(self.specs, self.calibration, load_file(self.of_answer) if task else self.sensitivity)

    def _point(self, coder: object) -> tuple[list[int], list[float], list[dict[str, float]]]:
        sizes, decoded = [], []
        for i, sample in enumerate(self.samples):
            sections = coder.encode(sample)
            sizes.append(len(packet.pack(i, features.lengths(sample, self.specs), sections, 0)))
            decoded.append(coder.decode(sections, {k: v.shape for k, v in sample.items()}))
        outputs = self.model.tail(decoded, [x["side"] for x in self.lines])
        outcomes = [self.task.outcome(o, x["truth"]) for o, x in zip(outputs, self.lines, strict=True)]
        return sizes, self._damages(decoded, outputs), outcomes

    def damages(self, decoded: list[Sample]) -> list[float]:
        """The task's damage; of transcripts by Whisper the KL of forced tokens, which is finer than edits of words."""
        forced = isinstance(self.model, whisper.Model)
        return self._damages(decoded, [] if forced else self.model.tail(decoded, [x["side"] for x in self.lines]))

    def _damages(self, decoded: list[Sample], outputs: list[object]) -> list[float]:
        if isinstance(self.model, whisper.Model):
            pairs = zip(decoded, self.samples, self.lines, strict=True)
            return [forced_divergence(self.model, d, s, x["output"]) for d, s, x in pairs]
        return [self.task.damage(o, x["output"]) for o, x in zip(outputs, self.lines, strict=True)]


@torch.inference_mode()
def forced_divergence(model: whisper.Model, decoded: Sample, sample: Sample, text: str) -> float:
    """Mean KL (nats a token) of the distributions over the uncompressed run's transcript."""
    ids = torch.tensor([model.prompt + model.tokenizer.encode(" " + text, add_special_tokens=False)])
    logs = []
    for one in (sample, decoded):
        states = torch.from_numpy(np.array(one["encoder"], np.float32))[None]
        hidden = model.net.model.decoder(input_ids=ids, encoder_hidden_states=states).last_hidden_state
        logs.append(model.net.proj_out(hidden[:, len(model.prompt) - 1 :]).double().log_softmax(-1))
    return float((logs[0].exp() * (logs[0] - logs[1])).sum(-1).mean())


def difference(
    anchor: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], chosen: np.ndarray
) -> float:
    """Mean difference of log rate at equal damage over the common range; NaN without one."""
    curves = []
    for sizes, damage in (anchor, other):
        mean = np.log(damage[:, chosen].mean(1) + 1e-6)
        curves.append((np.maximum.accumulate(mean + 1e-9 * np.arange(len(mean))), np.log(sizes[:, chosen].sum(1))))
    low, high = max(c[0][0] for c in curves), min(c[0][-1] for c in curves)
    grid = np.linspace(low, high, 100)
    return float(np.mean(np.interp(grid, *curves[1]) - np.interp(grid, *curves[0]))) if high > low else np.nan


def at_equal_damage(anchor: Found, other: Found, chosen: np.ndarray) -> float:
    return difference((anchor.sizes, anchor.damage), (other.sizes, other.damage), chosen)


def at_equal_score(anchor: Found, other: Found, chosen: np.ndarray) -> float:
    """Log of the BD-rate; NaN where the curves do not overlap."""
    sign = 1 if anchor.task.higher_is_better else -1
    curves = [(f.sizes[:, chosen].sum(1), sign * f.scores(chosen)) for f in (anchor, other)]
    return float(np.log1p(bd.bd_rate(*curves).value / 100))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curve")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--steps", default=",".join(map(str, STEPS)))
    options = parser.parse_args()
    steps = [float(s) for s in options.steps.split(",")]
    bench, found = Bench(options.curve, options.results, options.samples), {}
    everyone = np.arange(len(bench.samples))
    for arm in options.arms.split(","):
        found[arm] = own = bench.measure(ARMS[arm], steps)
        points = zip(8 * own.sizes.sum(1) / bench.elements, own.damage.mean(1), own.scores(everyone), strict=True)
        print(f"{arm}: " + "  ".join(f"{r:.3f} bpfp {loss:.5f} {s:.4g}" for r, loss, s in points), flush=True)
        if arm != "full" and "full" in found:
            compare(found["full"], own, everyone)


def compare(anchor: Found, other: Found, everyone: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    resamples = [rng.choice(everyone, len(everyone)) for _ in range(RESAMPLES)]
    for measure, differ in (("damage", at_equal_damage), ("score", at_equal_score)):
        drawn = [differ(anchor, other, r) for r in resamples]
        ends = np.nanquantile(drawn, [0.025, 0.975]) if np.isfinite(drawn).any() else (np.nan, np.nan)
        percent = [100 * np.expm1(v) for v in (differ(anchor, other, everyone), *ends)]
        known = f"({np.isfinite(drawn).mean():.0%} of resamples)"
        text = "{:+.1f} % [{:+.1f}, {:+.1f}]".format(*percent)
        print(f"   rate against full at equal {measure}: {text} {known}", flush=True)


if __name__ == "__main__":
    main()
