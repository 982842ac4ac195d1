"""The few recordings of people that PocketSphinx is tested with, and what is said: two speakers, one a part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets.folder import PARTS, SAMPLE_RATE, DatasetFolder
from lamofc.datasets.sound import levelled, read_audio
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Names of cards, and sentences of a novel read for LibriVox: one speaker each"
LICENCE = "BSD-2-Clause"
OPTIONS = {
    "texts": ["cards/cards.transcription", "librivox/transcription"],  # of the calibration and test parts
    "seconds": 30.0,  # longest
    "question": "",  # text that stands beside the sound
    "before": "",  # text in front of the sound
    "start": "",  # of the answer
}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, texts: list[str], seconds: float,
    question: str, before: str, start: str,
) -> None:  # fmt: skip
    """Fields: audio (WAV), said, text, seconds, question, before, start, in the order of the package."""
    for part, name in zip(PARTS, texts, strict=True):
        file = find_one(packages, name)
        for number, (recording, text) in enumerate(read_texts(file).items()):
            sound = levelled(read_audio(file.with_name(f"{recording}.wav")))
            if len(sound) > seconds * SAMPLE_RATE:
                continue
            audio = target.wav(f"audio/{part[:5]}-{number:03d}.wav", sound)
            fields = {"said": text, "text": text, "seconds": round(len(sound) / SAMPLE_RATE, 3)}
            target.add(part, f"{part[:5]}-{number:03d}", audio=audio, **fields, question=question, before=before,
                       start=start)  # fmt: skip


def read_texts(path: Path) -> dict[str, str]:
    """Recording -> what is said, out of lines `<s> words </s> (recording)`; ConfigError for another line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"<s> (.+?) +</s> \((\S+)\)", line) for line in lines]
    if None in found:
        raise ConfigError(f"{path}, line {found.index(None) + 1}: no `<s> words </s> (recording)`")
    return {m[2]: m[1] for m in found}
