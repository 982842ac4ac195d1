"""How much faster the tail is when it takes samples and ladder points together than one by one.

python benchmarks/tail.py CURVE [...] after a run; one thread. Ratios are of one run, on one machine.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

import torch  # noqa: E402

from lamofc import models  # noqa: E402
from lamofc.checked import read_yaml  # noqa: E402
from lamofc.config import Plan  # noqa: E402
from lamofc.jsonio import read_lines  # noqa: E402
from lamofc.stages.evaluate import BLOCK  # noqa: E402
from lamofc.store import FeatureReader  # noqa: E402

POINTS = 6


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("curves", nargs="+", metavar="CURVE")
    arguments.add_argument("--results", type=Path, default=ROOT / "results")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    plan = Plan(read_yaml(ROOT / "config/config.yaml"), ROOT)
    print("curve\tone by one (ms)\tsamples together (ms)\tsamples and points together (ms)\tfaster")
    for curve in options.curves:
        single, samples, both = (1000 * s for s in measure(plan, curve, options.results))
        print(f"{curve}\t{single:.1f}\t{samples:.1f}\t{both:.1f}\t{single / both:.2f}x", flush=True)


def measure(plan: Plan, curve: str, results: Path) -> tuple[float, float, float]:
    """Seconds per (sample, point): alone, in blocks of samples, in blocks of samples with all their points."""
    row = plan.all_curves[curve]
    readout = results / f"readouts/{row['fitted']}.safetensors" if row.get("fitted") else None
    model_row, weights = plan.models[row["model"]], ROOT / "resources/models" / row["model"]
    model = models.build(model_row, weights, row["split"], row.get("readout"), readout)
    features = list(itertools.islice(FeatureReader(results / "features" / curve / "test.zarr"), BLOCK))
    side = [x["side"] for x in itertools.islice(read_lines(results / "features" / curve / "test.jsonl"), BLOCK)]
    model.tail(features[:1], side[:1])
    count = POINTS * len(features)
    alone = [([f], [s]) for _ in range(POINTS) for f, s in zip(features, side, strict=True)]
    calls = (alone, [(features, side)] * POINTS, [(features * POINTS, side * POINTS)])
    return tuple(seconds(model, c) / count for c in calls)


def seconds(model: models.interfaces.Model, calls: list) -> float:
    start = time.perf_counter()
    for features, side in calls:
        model.tail(features, side)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
