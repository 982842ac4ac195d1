"""What each part of tailor buys: damage against rate with one part switched off, through the real tail.

    python benchmarks/ablation.py CURVE [--samples 24] [--results results] [--arms full,none,nopredict,...]

Needs what the workflow made for CURVE: features, sensitivity, readout, model and data set. Prints, per arm, the rate
and mean damage of every point and the mean difference in rate from the full codec at equal damage (log-linear between
points), with a 95 % interval from paired resampling of samples.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from lamofc import features, models, packet, tasks  # noqa: E402
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
    "metric none": tailor.Codec(metric="none"),
    "prediction off": tailor.Codec(predict=False),
    "blocks off": tailor.Codec(blocks=False),
    "edges off": tailor.Codec(edges=False),
    "kvtc": kvtc.Codec(),
    "uq-ec": uq_ec.Codec(),
}


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
        sensitivity = results / f"sensitivity/{curve}.safetensors"
        self.sensitivity = load_file(sensitivity) if sensitivity.exists() else None

    def measure(self, codec: object) -> tuple[np.ndarray, np.ndarray]:
        """Bytes (points, samples) and damage (points, samples) along STEPS."""
        with threadpool_limits(1):
            fit = getattr(codec, "fit_with", None)
            assets = (
                fit(self.specs, self.calibration, self.sensitivity) if fit else codec.fit(self.specs, self.calibration)
            )
            points = [self._point(replace(codec, step=s).coder(self.specs, assets)) for s in STEPS]
        return np.array([p[0] for p in points], float), np.array([p[1] for p in points])

    def _point(self, coder: object) -> tuple[list[int], list[float]]:
        sizes, decoded = [], []
        for i, sample in enumerate(self.samples):
            sections = coder.encode(sample)
            sizes.append(len(packet.pack(i, features.lengths(sample, self.specs), sections, 0)))
            decoded.append(coder.decode(sections, {k: v.shape for k, v in sample.items()}))
        return sizes, self.damages(decoded)

    def damages(self, decoded: list[Sample]) -> list[float]:
        """The task's damage; of transcripts by Whisper the KL of forced tokens, which is finer than edits of words."""
        if isinstance(self.model, whisper.Model):
            pairs = zip(decoded, self.samples, self.lines, strict=True)
            return [forced_divergence(self.model, d, s, x["output"]) for d, s, x in pairs]
        outputs = self.model.tail(decoded, [x["side"] for x in self.lines])
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curve")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--arms", default=",".join(ARMS))
    options = parser.parse_args()
    bench, rng, found = Bench(options.curve, options.results, options.samples), np.random.default_rng(0), {}
    for arm in options.arms.split(","):
        found[arm] = sizes, damage = bench.measure(ARMS[arm])
        points = zip(8 * sizes.sum(1) / bench.elements, damage.mean(1), strict=True)
        print(f"{arm}: " + "  ".join(f"{rate:.3f} bpfp {loss:.5f}" for rate, loss in points), flush=True)
        if arm != "full" and "full" in found:
            resamples = [rng.integers(0, sizes.shape[1], sizes.shape[1]) for _ in range(RESAMPLES)]
            value = difference(found["full"], found[arm], np.arange(sizes.shape[1]))
            ends = np.nanquantile([difference(found["full"], found[arm], r) for r in resamples], [0.025, 0.975])
            percent = [100 * np.expm1(v) for v in (value, *ends)]
            print("   rate against full: {:+.1f} % [{:+.1f}, {:+.1f}]".format(*percent), flush=True)


if __name__ == "__main__":
    main()
