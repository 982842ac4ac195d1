"""What evicting tokens from KV caches saves and costs, apart from what coarser steps save and cost.

    python benchmarks/eviction.py CURVE [CURVE ...] [--results results] [--samples 40] [--step 0.4 ...] [--keep 0.5 ...]

after a run: bits per feature point and damage of the tail's answers, hidden states at the same step in all of them,
the features decoded from real bitstreams. A line per step and policy, a column per fraction of tokens that stays.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from lamofc import codecs, features, models, tasks  # noqa: E402
from lamofc.bitstream import BitstreamReader, BitstreamWriter  # noqa: E402
from lamofc.checked import read_yaml  # noqa: E402
from lamofc.config import Plan  # noqa: E402
from lamofc.jsonio import read_lines  # noqa: E402
from lamofc.store import FeatureReader  # noqa: E402
from lamofc.transforms import eviction  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="+", metavar="CURVE")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--step", type=float, nargs="+", default=[0.4, 1.6])
    parser.add_argument("--keep", type=float, nargs="+", default=[1.0, 0.5, 0.25, 0.1, 0.05, 0.02])
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan(read_yaml(ROOT / "config/config.yaml"), ROOT)
    print("\t".join(["curve", "step", "policy", *(f"keep {k:g}" for k in options.keep)]))
    for curve in options.curves:
        trial = Trial(plan, curve, options.results, options.samples)
        for step, policy in itertools.product(options.step, eviction.POLICIES):
            found = [trial.measure(step, policy, keep) for keep in options.keep]
            cells = [f"{bits:.3f} bits, damage {damage:.3f}" for bits, damage in found]
            print("\t".join([curve, f"{step:g}", policy, *cells]), flush=True)


class Trial:
    """A curve's tail and features."""

    def __init__(self, plan: Plan, curve: str, results: Path, count: int) -> None:
        row, folder = plan.all_curves[curve], results / "features" / curve
        weights = ROOT / "resources/models" / row["model"]
        self.model = models.build(plan.models[row["model"]], weights, row["split"])
        self.task = tasks.build(row["task"], ROOT / "resources/data" / row["dataset"], weights)
        store = FeatureReader(folder / "test.zarr")
        self.specs, self.samples = store.specs, list(itertools.islice(store, count))
        self.calibration = list(FeatureReader(folder / "calibration.zarr"))
        self.lines = list(itertools.islice(read_lines(folder / "test.jsonl"), count))
        self.assets: dict[str, np.ndarray] | None = None

    def measure(self, step: float, policy: str, keep: float) -> tuple[float, float]:
        """Bits per feature point and mean damage."""
        own = {"keep": keep, "policy": policy, "step": step}
        entry = {"codec": "evict", "parameters": own, "fallback": {"codec": "uq-ec", "parameters": {"step": step}}}
        self.assets = self.assets or codecs.fit(entry, self.specs, self.calibration)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.lmfc"
            with BitstreamWriter(path, entry, self.specs, self.assets, {}) as writer:
                for sample in self.samples:
                    writer.add(sample)
            bits = 8 * path.stat().st_size / sum(map(features.elements, self.samples))
            decoded = list(BitstreamReader(path, self.assets))
        outputs = self.model.tail(decoded, [x["side"] for x in self.lines])
        damages = [self.task.damage(o, x["output"]) for o, x in zip(outputs, self.lines, strict=True)]
        return bits, float(np.mean(damages))


if __name__ == "__main__":
    main()
