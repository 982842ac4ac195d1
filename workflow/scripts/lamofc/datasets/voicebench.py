"""VoiceBench: spoken requests of AdvBench, spoken OpenBookQA questions with options, SD-QA questions in accents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lamofc.datasets import questions, tables
from lamofc.datasets.folder import PARTS, SAMPLE_RATE, DatasetFolder
from lamofc.datasets.sound import read_audio
from lamofc.errors import ConfigError

DESCRIPTION = "Spoken questions of VoiceBench: no question of the calibration part is in the test part"
LICENCE = "Apache-2.0"
OPTIONS = {"subset": "advbench", "accents": ["usa"], "calibration": 24, "test": 100, "select": "random",
           "instruction": ""}  # fmt: skip
ANSWERS = {"advbench": "refusal", "openbookqa": "letter", "sd-qa": "text"}


class Spoken(NamedTuple):
    name: str
    prompt: str
    truth: dict[str, Any]
    sound: bytes


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, subset: str, accents: list[str],
    calibration: int, test: int, select: str, instruction: str,
) -> None:  # fmt: skip
    """Fields: audio (WAV), question (the instruction beside the sound, often empty), prompt (what is said), and by
    subset nothing (advbench), answer: index of the right letter and options (openbookqa), answer: text (sd-qa)."""
    if subset not in ANSWERS:
        raise ConfigError(f"subset {subset!r} is none of {', '.join(ANSWERS)}")
    spoken = list(read(packages, subset, accents))
    counts = calibration, test
    chosen = questions.disjoint(spoken, spoken, lambda s: s.prompt, lambda s: len(s.prompt), counts, select, rng)
    for part, items in zip(PARTS, chosen, strict=True):
        for s in items:
            sound = read_audio(s.sound)
            path = target.wav(f"audio/{s.name}.wav", sound)
            seconds = round(len(sound) / SAMPLE_RATE, 3)
            target.add(part, s.name, audio=path, question=instruction, prompt=s.prompt, seconds=seconds, **s.truth)
    if subset == "openbookqa":
        target.facts["chance"] = 0.25


def read(packages: Mapping[str, Path], subset: str, accents: list[str]) -> Iterator[Spoken]:
    """Rows of the subset's files; sd-qa has one split per accent, the others a test split."""
    columns = ("audio", "prompt", *(() if subset == "advbench" else ("reference",)))
    for split in accents if subset == "sd-qa" else ["test"]:
        for number, row in enumerate(tables.rows(packages, f"{subset}/{split}-*.parquet", columns)):
            truth = _truth(subset, row)
            yield Spoken(f"{subset}-{split}-{number}", row["prompt"], truth, row["audio"]["bytes"])


def _truth(subset: str, row: Mapping[str, Any]) -> dict[str, Any]:
    if subset == "advbench":
        return {}
    if subset == "sd-qa":
        return {"answer": row["reference"].strip()}
    letter = row["reference"].strip().upper()
    if not re.fullmatch("[A-D]", letter):
        raise ConfigError(f"openbookqa: reference {letter!r} is none of A, B, C, D")
    return {"answer": "ABCD".index(letter), "options": list("ABCD")}
