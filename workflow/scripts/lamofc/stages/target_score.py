"""The coarsest knob of a codec that keeps a share of the uncompressed score, found on calibration samples alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lamofc import codecs, models, rate_control, tasks
from lamofc.errors import ConfigError
from lamofc.interfaces import Assets, Example, Model, Sample, Task
from lamofc.stages.fit import read_assets
from lamofc.store import FeatureReader


def target_score(
    row: Mapping[str, Any], model_row: Mapping[str, Any], entry: codecs.Entry, weights: Path, dataset: Path,
    readout: Path | None, features: Path, assets: Mapping[str, Path], share: float, limit: int | None = None,
) -> dict[str, float]:  # fmt: skip
    """`keeping` with the model, task, calibration features and assets that the workflow made for a curve."""
    store = FeatureReader(features / "calibration.zarr")
    task = tasks.build(row["task"], dataset, weights)
    examples = list(task.examples("calibration", min(len(store), limit or len(store))))
    samples = list(store.read(0, len(examples)))
    model = models.build(model_row, weights, row["split"], row.get("readout"), readout)
    return keeping(model, task, examples, samples, entry, read_assets(assets)[0], share)


def keeping(
    model: Model, task: Task, examples: Sequence[Example], samples: Sequence[Sample], entry: codecs.Entry,
    assets: Assets, share: float,
) -> dict[str, float]:  # fmt: skip
    """-> {"knob", "score", "reference", "bpfp"}: the coarsest knob, to a quarter octave, whose score keeps `share`.

    Scores that are better when lower keep it where 100 - score does (percent), else where they are at most
    reference / share. ConfigError where not even the finest knob keeps it.
    """
    reference = _score(model, task, examples, samples)
    found: dict[float, dict[str, float]] = {}

    def holds(knob: float) -> bool:
        with threadpool_limits(1):
            decoded, bits = _through(codecs.coder(rate_control.at(entry, knob), model.specs, assets), samples)
        score = _score(model, task, examples, decoded)
        found[knob] = {"knob": knob, "score": score, "reference": reference, "bpfp": bits}
        print(f"knob {knob:g}: {bits:.4f} bits per feature point, score {score:.4g} of {reference:.4g}", flush=True)
        return kept(task, score, reference, share)

    knob = rate_control.coarsest(holds)
    if knob is None:
        raise ConfigError(f"codec {entry['codec']}: no step keeps {share:g} of the score {reference:g}")
    return found[knob]


def kept(task: Task, score: float, reference: float, share: float) -> bool:
    """Whether `score` is `share` of the reference or better."""
    if task.higher_is_better:
        return score >= share * reference
    if task.unit == "%":
        return 100 - score >= share * (100 - reference)
    return score <= reference / share


def _score(model: Model, task: Task, examples: Sequence[Example], samples: Sequence[Sample]) -> float:
    outputs = model.tail(samples, [e.side for e in examples])
    rows = [task.outcome(o, e.truth) for o, e in zip(outputs, examples, strict=True)]
    return float(task.score({k: np.array([r[k] for r in rows]) for k in rows[0]}))


def _through(coder: Any, samples: Sequence[Sample]) -> tuple[list[Sample], float]:
    """Samples as decoded, and their bits per feature point without framing."""
    kept = [codecs.kept(coder, s) for s in samples]
    coded = [coder.encode(s) for s in kept]
    decoded = [coder.decode(c, {k: v.shape for k, v in s.items()}) for c, s in zip(coded, kept, strict=True)]
    elements = sum(a.size for s in samples for a in s.values())
    return decoded, 8 * sum(len(b) for c in coded for b in c) / max(1, elements)
