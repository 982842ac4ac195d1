"""Decoder assets of codecs that are trained by gradients through the frozen tail of a curve."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from lamofc import codecs, models, tasks
from lamofc.codecs import opq
from lamofc.interfaces import Sample
from lamofc.models.torch_arrays import to_torch
from lamofc.store import FeatureReader
from lamofc.training.through_tail import Tail
from lamofc.whole import whole_file

SAMPLES = 32
BYTES = 1 << 30  # of features held


def fit(
    entry: Mapping[str, Any], row: Mapping[str, Any], model_row: Mapping[str, Any], weights: Path, dataset: Path,
    readout: Path | None, calibration: Path, sensitivity: Path, out: Path,
) -> None:  # fmt: skip
    """Fit as every codec is fitted, then train the result through the tail; write it as safetensors. No labels."""
    reader = FeatureReader(calibration)
    arrays = codecs.fit(entry, reader.specs, reader, load_file(sensitivity))
    codec = codecs.build(entry["codec"], entry.get("parameters", {}))
    train = importlib.import_module(codec.trained_by).train
    own = [s for s in reader.specs if s.kind in codec.kinds]
    arrays = train(codec, opq.BOOKS, arrays, own, _tail(row, model_row, weights, dataset, readout, reader), _say)
    with whole_file(out) as partial:
        save_file({k: np.ascontiguousarray(v) for k, v in sorted(arrays.items())}, partial)
    print(f"{len(arrays)} arrays, {Path(out).stat().st_size} bytes", flush=True)


def _tail(row: Mapping[str, Any], model_row: Mapping[str, Any], weights: Path, dataset: Path, readout: Path | None,
          reader: FeatureReader) -> Tail:  # fmt: skip
    options = dict(model_row.get("options", {})) | {"dtype": "float32"}
    model = models.build({**model_row, "options": options}, weights, row["split"], row.get("readout"), readout)
    for parameter in model.net.parameters():
        parameter.requires_grad_(False)
    samples, sides, held = [], [], 0
    examples = tasks.build(row["task"], dataset, weights).examples("calibration", row["n_calibration"])
    for sample, example in zip(reader, examples, strict=False):
        samples.append(sample)
        sides.append(_held(model, sample, example.side))
        held += sum(a.nbytes for a in sample.values())
        if held > BYTES or len(samples) == SAMPLES:
            break
    return Tail(lambda received, side: model.last_feature(received, [side]), samples, sides)


def _held(model: Any, sample: Sample, side: dict[str, Any]) -> dict[str, Any]:
    """A side that holds what a model writes after the features as they are: features of two texts do not compare."""
    if not hasattr(model, "held"):
        return side
    return model.held({name: to_torch(array)[None].float() for name, array in sample.items()}, side)


def _say(line: str) -> None:
    print(line, flush=True)
