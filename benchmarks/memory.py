"""Peak memory of the stages at n and at 10 n samples: `python benchmarks/memory.py [--n 70] [--small]`.

Each stage runs in a process of its own on synthetic features, 1 MB a sample, so that n samples outweigh whatever a
stage holds by design (a block of the reader, a shard of the writer); `--small` shrinks those and the samples for a
quick look. Exit code 1 when a peak grows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.interfaces import Example, Sample, TensorSpec

STAGES = ("extract", "encode", "decode", "evaluate")
SPEC = TensorSpec("output", "tokens", "float32", (None, 512), layer=0)
ROWS, SMALL_ROWS = 512, 64
ENTRY = {"codec": "uq-ec", "parameters": {"scales": "stream"}}
ROW = {"category": "CLU", "curve": "c", "scenario": "s", "stands_for": "s", "model": "m", "split": "one",
       "task": "memory", "n_calibration": 2}  # fmt: skip


@dataclass
class Model:
    """Noise as features; its output is large, as logits or masks are."""

    rows: int
    specs = (SPEC,)

    def head(self, inputs: list[int]) -> list[Sample]:
        return [{"output": np.random.default_rng(i).standard_normal((self.rows, 512), np.float32)} for i in inputs]

    def tail(self, features: list[Sample], side: list[Any]) -> list[dict[str, np.ndarray]]:
        return [{"logits": f["output"][:100].copy()} for f in features]

    def unsplit(self, inputs: list[int], side: list[Any]) -> list[dict[str, np.ndarray]]:
        return self.tail(self.head(inputs), side)


class Task:
    metric, unit, higher_is_better, chance = "none", "", True, None

    def examples(self, part: str, limit: int) -> Any:
        return (Example(str(i), i, {}, 0) for i in range(limit))

    def outcome(self, output: Any, truth: int) -> dict[str, float]:
        return {"value": float(output["logits"][0, 0])}

    def score(self, outcomes: Any) -> np.ndarray:
        return outcomes["value"].mean(-1)

    def flipped(self, output: Any, reference: Any) -> bool:
        return False

    def damage(self, output: Any, reference: Any) -> float:
        return 0.0


def run(stage: str, folder: Path, n: int, small: bool) -> None:
    """One stage on n samples, where the stages before it have run."""
    from lamofc import models, store, tasks
    from lamofc.jsonio import write_json
    from lamofc.stages import code, evaluate, extract

    if small:
        store.BLOCK_BYTES, store.CHUNKS_PER_SHARD = 1 << 21, 4
    models.build = lambda *arguments, **options: Model(SMALL_ROWS if small else ROWS)
    tasks.build = lambda *arguments, **options: Task()
    features, streams, decoded = folder / "features", folder / "streams", folder / "decoded"
    if stage == "extract":
        row = ROW | {"n": n}
        extract.extract(row, {"kinds": ["tokens"]}, folder, folder, None, features)
    elif stage == "encode":
        code.encode(ENTRY, [0.4], features / "test.zarr", {}, streams)
    elif stage == "decode":
        code.decode(streams, {}, decoded)
    else:
        write_json(folder / "none.json", {})
        evaluate.evaluate(ROW | {"n": n}, {}, "uq-ec", "numeric", folder, folder, None, features, streams, decoded, 0,
                          folder / "scores.json")  # fmt: skip


def peak(stage: str, folder: Path, n: int, small: bool) -> float:
    """MiB of a process that runs one stage."""
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder), "--n", str(n)] + ["--small"] * small
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(said.splitlines()[-1])


def measure(n: int, small: bool = False, stages: tuple[str, ...] = STAGES) -> dict[str, tuple[float, float]]:
    """Stage -> peaks at n and at 10 n samples, MiB."""
    found: dict[str, list[float]] = {s: [] for s in stages}
    for count in (n, 10 * n):
        with tempfile.TemporaryDirectory(prefix="lamofc-memory.") as folder:
            for stage in stages:
                found[stage].append(peak(stage, Path(folder), count, small))
    return {stage: (few, many) for stage, (few, many) in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=70)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--tolerance", type=float, default=1.25)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run(options.stage, options.folder, options.n, options.small)
        print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
        return 0
    found = measure(options.n, options.small)
    print(f"{'stage':10} {'n = ' + str(options.n):>12} {'n = ' + str(10 * options.n):>12}   MiB")
    for stage, (few, many) in found.items():
        print(f"{stage:10} {few:12.0f} {many:12.0f}   {'flat' if many <= options.tolerance * few else 'GROWS'}")
    return int(any(many > options.tolerance * few for few, many in found.values()))


if __name__ == "__main__":
    sys.exit(main())
