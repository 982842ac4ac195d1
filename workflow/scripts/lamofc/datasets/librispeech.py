"""LibriSpeech: read books, as the FLAC and trans.txt files of its archive or as the hub's Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamofc.datasets import questions, tables
from lamofc.datasets.folder import PARTS, SAMPLE_RATE, DatasetFolder
from lamofc.datasets.sound import read_audio
from lamofc.errors import ConfigError, FetchError

DESCRIPTION = "LibriSpeech utterances and their text; calibration from dev, test from test, speakers disjoint"
LICENCE = "CC-BY-4.0"
INSTRUCTION = "Please transcribe the spoken content into written text."
HUB_NAMES = {"dev": "validation", "test": "test"}  # of the splits, as folders of the hub's repository
OPTIONS = {"subset": "clean", "calibration": 48, "test": 100, "select": "random", "instruction": INSTRUCTION}


class Utterance(NamedTuple):
    name: str
    text: str
    sound: Path | bytes  # FLAC

    @property
    def speaker(self) -> str:
        return self.name.split("-")[0]


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, subset: str, calibration: int,
    test: int, select: str, instruction: str,
) -> None:  # fmt: skip
    """Fields: audio (WAV), text, question (the instruction), seconds."""
    if subset not in ("clean", "other"):
        raise ConfigError(f"subset {subset!r} is none of clean, other")
    splits = [read(packages, name, subset) for name in ("dev", "test")]
    counts = calibration, test
    chosen = questions.disjoint(*splits, lambda u: u.speaker, lambda u: len(u.text), counts, select, rng)
    for part, utterances in zip(PARTS, chosen, strict=True):
        for u in utterances:
            sound = read_audio(u.sound)
            seconds = round(len(sound) / SAMPLE_RATE, 3)
            path = target.wav(f"audio/{u.name}.wav", sound)
            target.add(part, u.name, audio=path, text=u.text, question=instruction, seconds=seconds)


def read(packages: Mapping[str, Path], split: str, subset: str) -> list[Utterance]:
    """Utterances of a split; the archive's folders are looked for first."""
    try:
        return list(_from_archive(packages, f"{split}-{subset}"))
    except FetchError:
        found = tables.rows(packages, f"{subset}/{HUB_NAMES[split]}/*.parquet", ("id", "text", "audio"))
        return [Utterance(row["id"], row["text"], row["audio"]["bytes"]) for row in found]


def _from_archive(packages: Mapping[str, Path], folder: str) -> Iterator[Utterance]:
    """<folder>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt holds `<name> <TEXT>` lines beside <name>.flac."""
    for transcript in tables.find_all(packages, f"{folder}/*/*/*.trans.txt"):
        for line in filter(None, transcript.read_text(encoding="utf-8").splitlines()):
            name, _, text = line.partition(" ")
            sound = transcript.with_name(f"{name}.flac")
            if not sound.is_file():
                raise ConfigError(f"{transcript}: {sound.name} is not beside it; unpack the archive again")
            yield Utterance(name, text, sound)
