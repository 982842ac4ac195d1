"""Curves whose features come from files that others published: no model runs, rate and distortion are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamofc import features, hosted, provenance, rate, statistics
from lamofc.distortion import Distortion
from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.jsonio import read_json, write_json
from lamofc.stages.code import SUFFIX
from lamofc.stages.job import whole_directory
from lamofc.store import FeatureReader
from lamofc.tasks.fidelity import Task


def import_features(row: Mapping[str, Any], model_row: Mapping[str, Any], source: Path, out: Path) -> None:
    """Write <out>/{calibration,test}.zarr from the files in `source`/{calibration,test}, else from `source` itself.

    Then the first n files by name are test samples and the next n_calibration calibration: never the same.
    """
    options = dict(model_row.get("options", {}))
    with whole_directory(out) as folder:
        for part, files in _parts(row, source).items():
            count = hosted.write_store(files, folder / f"{part}.zarr", **options)
            print(f"{part}: {count} samples from {files[0].parent}", flush=True)


def _parts(row: Mapping[str, Any], source: Path) -> dict[str, list[Path]]:
    wanted = {"test": row["n"], "calibration": row["n_calibration"]}
    if all((source / part).is_dir() for part in wanted):
        found = {part: hosted.files_of(source / part) for part in wanted}
    else:
        files = hosted.files_of(source)
        found = {"test": files[: row["n"]], "calibration": files[row["n"] :]}
    for part, count in wanted.items():
        if len(found[part]) < count:
            raise ConfigError(
                f"{source}: {len(found[part])} files left for part {part} where row {row['curve']} asks for {count}; "
                "add files, or lower n and n_calibration (docs/import.md)"
            )
    return {part: found[part][:count] for part, count in wanted.items()}


def evaluate(
    row: Mapping[str, Any],
    codec: str,
    family: str,
    originals: Path,
    bitstreams: Path,
    decoded: Path,
    asset_bytes: int,
    out: Path,
) -> None:
    """The same file as stages.evaluate writes, with the mean cosine of a sample's tensors as its score."""
    store, task = FeatureReader(originals / "test.zarr"), Task(originals, originals)
    points = read_json(decoded / "decode.json")["points"]
    seconds = {k: read_json(f / f"{k}.json")["seconds"] for k, f in (("encode", bitstreams), ("decode", decoded))}
    whole: dict[str, Any] = {"rows": [], "outcomes": {}, "damages": {}, "flips": {}}
    for point in points:
        distortion, cosines, flips = _compared(store, FeatureReader(decoded / f"{point}.zarr"))
        low, high = statistics.interval(task, {"cosine": np.array(cosines)})
        names = ("category", "curve", "scenario", "stands_for", "model", "split", "task")
        whole["rows"].append(
            {n: row[n] for n in names}
            | {"codec": codec, "family": family, "point": point}
            | rate.columns(bitstreams / (point + SUFFIX), store, asset_bytes, 0)
            | {"mse": distortion.mse(), "rel_mse": distortion.rel_mse()}
            | {"cosine": distortion.cosine(), "cka": distortion.cka()}
            | {"metric": task.metric, "unit": task.unit, "higher_is_better": True, "chance": None}
            | {"score": 100 * float(np.mean(cosines)), "score_low": low, "score_high": high, "reference_score": 100.0}
            | {"flips": sum(flips), "damage": float(1 - np.mean(cosines))}
            | rate.speeds(store, seconds["encode"][point], seconds["decode"][point])
            | dict.fromkeys(("head_seconds", "tail_seconds", "unsplit_seconds"))
            | {"commit": provenance.commit()}
        )
        whole["outcomes"][point] = {"cosine": cosines}
        whole["damages"][point], whole["flips"][point] = [1 - c for c in cosines], flips
    whole["reference"] = {"cosine": [1.0] * len(store)}
    write_json(out, whole)


def _compared(store: FeatureReader, decoded: FeatureReader) -> tuple[Distortion, list[float], list[bool]]:
    """Sums over all samples, and per sample the cosine and whether any bit differs."""
    distortion, cosines, flips = Distortion(store.specs), [], []
    for original, other in zip(store, decoded, strict=True):
        distortion.add(original, other)
        flipped = features.checksum(original, store.specs) != features.checksum(other, store.specs)
        cosines.append(_cosine(original, other, store.specs) if flipped else 1.0)
        flips.append(flipped)
    return distortion, cosines, flips


def _cosine(original: Sample, decoded: Sample, specs: Sequence[TensorSpec]) -> float:
    alone = Distortion(specs)
    alone.add(original, decoded)
    return float(alone.cosine())
