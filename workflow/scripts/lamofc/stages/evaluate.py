"""Decoded features through the tail -> rate, distortion, score and cost, one row per point."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lamofc import models, png, provenance, rate, statistics, tasks
from lamofc.distortion import Distortion
from lamofc.interfaces import Model, Sample, Task
from lamofc.jsonio import read_json, read_lines, write_json
from lamofc.stages import extract
from lamofc.stages.code import SUFFIX
from lamofc.store import FeatureReader

PICTURES = 6  # samples whose images are kept
BLOCK = 8  # samples whose points go through the tail together, where there are several


def evaluate(
    row: Mapping[str, Any],
    model_row: Mapping[str, Any],
    codec: str,
    family: str,
    weights: Path,
    dataset: Path,
    readout: Path | None,
    originals: Path,
    bitstreams: Path,
    decoded: Path,
    asset_bytes: int,
    out: Path,
) -> None:
    """Write {"rows": [...], "outcomes": {point: {name: [...]}}, ...} for one (curve, codec).

    Of tasks whose outputs are images, `pictures` holds the first ones as PNG files, by point, and
    `reference_pictures` the uncompressed run's.
    """
    store = FeatureReader(originals / "test.zarr")
    points = read_json(decoded / "decode.json")["points"]
    model = models.build(model_row, weights, row["split"], row.get("readout"), readout)
    task = tasks.build(row["task"], dataset, weights)
    meters = {p: _Meter(task, store) for p in points}
    stores = {p: FeatureReader(decoded / f"{p}.zarr") for p in points}
    side_bytes, references, pictures = 0, [], []
    for lines, block in _outputs(model, store, stores, read_lines(originals / "test.jsonl")):
        side_bytes += sum(x["side_bytes"] for x in lines)
        references += [task.outcome(x["output"], x["truth"]) for x in lines]
        pictures += _pictures(task, [x["output"] for x in lines], len(pictures))
        for point, (samples, outputs) in block.items():
            meters[point].add(samples, outputs)
    reference = {k: np.array([r[k] for r in references]) for k in references[0]}
    written = read_json(bitstreams / "encode.json")
    seconds = {"encode": written["seconds"], "decode": read_json(decoded / "decode.json")["seconds"]}
    suffix = written.get("suffix", SUFFIX)
    rows = [
        _identify(row, codec, family, point)
        | rate.columns(bitstreams / (point + suffix), store, asset_bytes, side_bytes)
        | meters[point].columns(reference)
        | rate.speeds(store, seconds["encode"][point], seconds["decode"][point])
        | read_json(originals / "latency.json")
        | {"commit": provenance.commit()}
        for point in points
    ]
    outcomes = {p: {k: v.tolist() for k, v in m.outcomes().items()} for p, m in meters.items()}
    damages = {p: m.damages for p, m in meters.items()}
    flips = {p: m.flips for p, m in meters.items()}
    found = {"rows": rows, "outcomes": outcomes, "damages": damages, "flips": flips,
             "reference": {k: v.tolist() for k, v in reference.items()}}  # fmt: skip
    if pictures:
        found |= {"pictures": {p: m.pictures for p, m in meters.items()}, "reference_pictures": pictures}
    write_json(out, found)


def _pictures(task: Task, outputs: Sequence[Any], already: int) -> list[np.ndarray]:
    """PNG files, as arrays of bytes, of those outputs that are among the first PICTURES."""
    if not hasattr(task, "picture"):
        return []
    return [png.write(task.picture(o)) for o in outputs[: max(0, PICTURES - already)]]


def _outputs(
    model: Model, store: FeatureReader, stores: Mapping[str, FeatureReader], lines: Iterator[Mapping[str, Any]]
) -> Iterator[tuple[list[Mapping[str, Any]], dict[str, tuple[list[tuple[Sample, Sample, Any]], list[Any]]]]]:
    """Per block of samples: its lines, and by point (original, decoded, line) triples and the tail's outputs.

    All points of a block go through the tail in one call, so that it can batch over samples and points. One block
    is held at a time.
    """
    originals, iterators = iter(store), {p: iter(s) for p, s in stores.items()}
    # A single point goes in the blocks of `extract`: in bfloat16 a result depends on the batch it was computed in, and
    # lossless arms must meet the uncompressed run bit for bit.
    size = BLOCK if len(stores) > 1 else extract.BLOCK
    size = min(size, getattr(model, "block", size))
    for _ in tqdm(range(0, len(store), size), desc="tail", mininterval=5):
        block = list(itertools.islice(lines, size))
        first = [next(originals) for _ in block]
        triples = {p: [(o, next(it), x) for o, x in zip(first, block, strict=True)] for p, it in iterators.items()}
        flat = [t for items in triples.values() for t in items]
        results = iter(model.tail([d for _, d, _ in flat], [x["side"] for *_, x in flat]))
        yield block, {point: (items, [next(results) for _ in items]) for point, items in triples.items()}


class _Meter:
    """Sums over the samples of one point."""

    def __init__(self, task: Task, store: FeatureReader) -> None:
        self.task, self.distortion = task, Distortion(store.specs)
        self.rows: list[dict[str, float]] = []
        self.flips: list[bool] = []
        self.damages: list[float] = []
        self.records: list[Any] = []
        self.pictures: list[np.ndarray] = []

    def add(self, samples: Sequence[tuple[Sample, Sample, Any]], outputs: Sequence[Any]) -> None:
        self.pictures += _pictures(self.task, outputs, len(self.pictures))
        for (original, decoded, line), output in zip(samples, outputs, strict=True):
            self.distortion.add(original, decoded)
            self.rows.append(self.task.outcome(output, line["truth"]))
            self.flips.append(bool(self.task.flipped(output, line["output"])))
            self.damages.append(float(self.task.damage(output, line["output"])))
            if hasattr(self.task, "record"):
                self.records.append(self.task.record(output, line["output"], line["truth"]))

    def outcomes(self) -> dict[str, np.ndarray]:
        return {k: np.array([r[k] for r in self.rows]) for k in self.rows[0]}

    def columns(self, reference: Mapping[str, np.ndarray]) -> dict[str, Any]:
        low, high = statistics.interval(self.task, self.outcomes())
        return {
            "mse": self.distortion.mse(),
            "rel_mse": self.distortion.rel_mse(),
            "cosine": self.distortion.cosine(),
            "cka": self.distortion.cka(),
            "metric": self.task.metric,
            "unit": self.task.unit,
            "higher_is_better": self.task.higher_is_better,
            "chance": self.task.chance,
            "score": float(self.task.score(self.outcomes())),
            "score_low": low,
            "score_high": high,
            "reference_score": float(self.task.score(reference)),
            "flips": sum(self.flips),
            "damage": float(np.mean(self.damages)),
            **(self.task.set_columns(self.records) if self.records else {}),
        }


def _identify(row: Mapping[str, Any], codec: str, family: str, point: str) -> dict[str, Any]:
    names = ("category", "curve", "scenario", "stands_for", "model", "split", "task")
    return {n: row[n] for n in names} | {"codec": codec, "family": family, "point": point}
