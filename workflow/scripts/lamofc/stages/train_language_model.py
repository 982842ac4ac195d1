"""A small model made by rule: the one that ships where its files' sha256 are pinned, else trained here."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc import models, tasks
from lamofc.errors import FetchError
from lamofc.fetch.staging import staged
from lamofc.jsonio import write_text
from lamofc.provenance import ROOT

SHIPPED = Path("trained")  # relative to the project root: models that come with the project
RECORD = "training.json"


def train_language_model(
    name: str, entry: Mapping[str, Any], datasets: Mapping[str, Path], books: Mapping[str, Path], out: Path,
    begin: Path | None = None,
) -> None:  # fmt: skip
    """Write the model folder `out` as transformers reads it, and training.json: seed, rule, losses, validation.

    begin: folder of the training that the entry's `begin` names, whose weights this one goes on with."""
    if "sha256" in entry:
        install(name, entry["sha256"], ROOT / SHIPPED / name, out)
        return
    with staged(out) as folder:
        train = _train_phases if "phases" in entry else _train_projector if "layout" in entry else _train
        further = {"begin": begin} if begin else {}
        train(name, entry, datasets, books, folder, out.with_name(f"{out.name}.checkpoint"), **further)


def install(name: str, wanted: Mapping[str, str], shipped: Path, out: Path) -> None:
    """Copy the files that ship, each checked; FetchError if one is missing or altered."""
    with staged(out) as folder:
        for file, expected in wanted.items():
            if not (shipped / file).is_file():
                raise FetchError(f"training {name}: no {shipped / file}; restore it, or drop `sha256` to train anew")
            if (found := _sha256(shipped / file)) != expected:
                raise FetchError(
                    f"training {name}: {shipped / file} has sha256 {found}, config/trainings.yaml says {expected}"
                )
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shipped / file, folder / file)
        shutil.copyfile(shipped / RECORD, folder / RECORD)


def _train(
    name: str, entry: Mapping[str, Any], datasets: Mapping[str, Path], books: Mapping[str, Path], folder: Path,
    state: Path,
) -> None:  # fmt: skip
    """`state` holds checkpoints: a job that was stopped goes on from the last one. It goes with the last step."""
    import torch

    from lamofc.training import corpus, state_space_lm, subwords
    from lamofc.training.language import Training

    torch.set_num_threads(1)
    tokenizer = subwords.train(corpus.texts(datasets, books), entry["network"]["vocab_size"])
    net = state_space_lm.build(entry)
    training = Training(net, entry, corpus.sources(entry, datasets, books, tokenizer), state)
    training.run(log=lambda line: print(f"{name}: {line}", flush=True), last=entry.get("stop"))
    training.finish()
    subwords.save(tokenizer, folder)
    state_space_lm.save(net, folder)
    found = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "steps": training.step,
        "seconds": round(training.seconds, 1),
        "validation": validate(entry["validation"], datasets, folder),
        "curve": training.curve,
    }
    _record(name, entry, datasets, found, folder, state)


def _train_projector(
    name: str, entry: Mapping[str, Any], datasets: Mapping[str, Path], packages: Mapping[str, Path], folder: Path,
    state: Path, begin: Path | None = None,
) -> None:  # fmt: skip
    from lamofc.stages import train_hearing

    found = train_hearing.train(name, entry, datasets, packages, folder, state, begin)
    _record(name, entry, datasets, found, folder, state)


def _record(
    name: str, entry: Mapping[str, Any], datasets: Mapping[str, Path], found: Mapping[str, Any], folder: Path,
    state: Path,
) -> None:  # fmt: skip
    """training.json: settings, data, hashes, and what the training found. The checkpoints go."""
    record = {
        "training": name,
        "settings": dict(entry),
        "data": {n: _sha256(p / "items.jsonl") for n, p in datasets.items()},
        "sha256": {p.name: _sha256(p) for p in sorted(folder.iterdir())},
        **found,
    }
    shutil.rmtree(state, ignore_errors=True)
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")


def _train_phases(
    name: str, entry: Mapping[str, Any], datasets: Mapping[str, Path], books: Mapping[str, Path], folder: Path,
    state: Path,
) -> None:  # fmt: skip
    """Text to image: see lamofc.stages.train_text_to_image."""
    from lamofc.stages import train_text_to_image

    ((_, dataset),) = datasets.items()
    found = train_text_to_image.train(entry, dataset, folder, state, lambda line: print(f"{name}: {line}", flush=True))
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    record = {
        "training": name,
        "settings": dict(entry),
        "data": {n: _sha256(p / "items.jsonl") for n, p in datasets.items()},
        "sha256": {p.relative_to(folder).as_posix(): _sha256(p) for p in files},
        **found,
    }
    shutil.rmtree(state, ignore_errors=True)
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")


def validate(wanted: Mapping[str, str], datasets: Mapping[str, Path], folder: Path) -> dict[str, float]:
    """Scores of the files just written on calibration parts, uncut."""
    model = models.load("state_space_lm")(folder, "layer0", dtype="float32")
    scores = {}
    for dataset, name in wanted.items():
        task = tasks.build(name, datasets[dataset], folder)
        examples = list(task.examples("calibration"))
        outputs = model.unsplit([e.inputs for e in examples], [e.side for e in examples])
        outcomes = [task.outcome(o, e.truth) for o, e in zip(outputs, examples, strict=True)]
        scores[dataset] = float(task.score({k: np.array([o[k] for o in outcomes]) for k in outcomes[0]}))
    return scores


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
