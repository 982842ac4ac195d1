"""Head over a data set -> feature stores, side inputs, truths and the unsplit model's outputs."""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lamofc import models, tasks
from lamofc.dtypes import bits_of
from lamofc.errors import ConfigError
from lamofc.interfaces import Example, Model, Task
from lamofc.jsonio import dumps, write_json, write_lines
from lamofc.stages import latency
from lamofc.stages.job import whole_directory
from lamofc.store import FeatureWriter

BLOCK = 32  # samples between two writes: bounds memory whatever the number of samples


def extract(
    row: Mapping[str, Any], model_row: Mapping[str, Any], weights: Path, dataset: Path, readout: Path | None, out: Path
) -> None:
    """Write <out>/{calibration,test}.zarr, test.jsonl and latency.json for one row of config/scenarios.tsv."""
    model = models.build(model_row, weights, row["split"], row.get("readout"), readout)
    kinds = sorted({s.kind for s in model.specs})
    if not set(kinds) <= models.crossing(model_row, row["split"]):
        raise ConfigError(
            f"model {row['model']}: kinds in its row must hold {kinds}, those of the tensors at split {row['split']}"
        )
    task = tasks.build(row["task"], dataset, weights)
    with whole_directory(out) as folder:
        _write_part(folder, "calibration", model, task, row["n_calibration"], reference=False)
        _write_part(folder, "test", model, task, row["n"], reference=True)
        write_json(folder / "latency.json", latency.measure(model, task.examples("test", row["n"])))


def _write_part(folder: Path, part: str, model: Model, task: Task, limit: int, reference: bool) -> None:
    writer = FeatureWriter(folder / f"{part}.zarr", model.specs)
    start, size = time.perf_counter(), 0

    def lines() -> Iterator[dict[str, Any]]:
        """Features of a block go to the store, then its reference lines are handed out: neither is collected."""
        nonlocal size
        examples = tqdm(task.examples(part, limit), total=limit, desc=f"extract {part}", mininterval=5)
        for block in _blocks(examples, getattr(model, "block", BLOCK)):
            for example, sample in zip(block, model.head([e.inputs for e in block]), strict=True):
                writer.add(example.id, sample)
                size += sum(sample[s.name].size * bits_of(s.dtype) // 8 for s in model.specs)
            if reference:
                yield from _reference_lines(model, block)

    if reference:
        write_lines(folder / f"{part}.jsonl", lines())
    else:
        for _ in lines():
            pass
    writer.close()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{part}: {len(writer)} samples, {size / 1e6:.1f} MB in {seconds:.1f} s "
          f"({len(writer) / seconds:.1f} samples/s), peak memory {peak:.0f} MiB", flush=True)  # fmt: skip


def _reference_lines(model: Model, block: list[Example]) -> list[dict[str, Any]]:
    outputs = model.unsplit([e.inputs for e in block], [e.side for e in block])
    return [
        {"id": e.id, "side": e.side, "side_bytes": len(dumps(e.side)) if e.side else 0, "truth": e.truth, "output": o}
        for e, o in zip(block, outputs, strict=True)
    ]


def _blocks(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    iterator = iter(examples)
    while block := list(itertools.islice(iterator, size)):
        yield block
