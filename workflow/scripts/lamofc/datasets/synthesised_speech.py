"""Sentences, questions and requests said by synthetic voices; voices and what they say differ between parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.datasets import speakable
from lamofc.datasets.choices import shuffled
from lamofc.datasets.folder import PARTS, SAMPLE_RATE, TRAIN, DatasetFolder
from lamofc.datasets.sound import telephone
from lamofc.datasets.speakable import Spoken
from lamofc.errors import ConfigError
from lamofc.speech import voices

DESCRIPTION = "Speech synthesised by eSpeak NG and Flite: parts share no voice, no sentence, no question"
LICENCE = "GPL-3.0-or-later AND LicenseRef-Flite AND LGPL-2.1-or-later AND LicenseRef-WordNet-3.0 AND BSD-3-Clause"
OPTIONS = {
    "kind": "sentence",  # sentence, capital, request
    "truth": "text",  # text: what is said; options: four capitals; answer: the capital; none
    "question": "",  # text that stands beside the sound
    "before": "",  # text in front of the sound
    "start": "",  # of the answer
    "held": {"calibration": 24, "test": 24},  # sentences and places of each scored part
    "seconds": 3.8,  # longest
    "degrade": "none",
    "snr_db": 10.0,
    "train": 0,  # utterances of the train part, named but not yet said: a training says them
    "mixed": 2400,
}
SHARES = {"sentence": 0.25, "capital": 0.15, "request": 0.1, "words": 0.5}  # of the train part


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, kind: str, truth: str, question: str,
    before: str, start: str, held: Mapping[str, int], seconds: float, degrade: str, snr_db: float, train: int,
    mixed: int,
) -> None:  # fmt: skip
    """Fields: audio (WAV), said, seconds, question, start, voice, and by `truth` text, options and answer (index), or
    answer. The train part has said and voice alone. Equal seeds part what is said equally, whatever the kind."""
    parts = speakable.spoken(packages, held, mixed, rng)
    speakers, (noise,) = voices.Speakers(packages), rng.spawn(1)  # the same is said, alike, with and without noise
    capitals = sorted({s.fact.capital for part in PARTS for s in parts[part] if s.fact})
    for part in PARTS:
        chosen = [s for s in parts[part] if s.kind == kind]
        for number, item in enumerate(chosen[i] for i in rng.permutation(len(chosen))):
            name, voice = f"{part[:5]}-{number:03d}", voices.draw(part, rng)
            sound = speakers.say(item.text, **voice)
            if len(sound) > seconds * SAMPLE_RATE:
                continue
            if degrade == "telephone-noise":
                sound = telephone(sound, snr_db, noise)
            fields = {"audio": target.wav(f"audio/{name}.wav", sound), "seconds": round(len(sound) / SAMPLE_RATE, 3)}
            fields |= {"said": item.text, "voice": voice, "question": question, "before": before, "start": start}
            target.add(part, name, **fields, **_truth(item, truth, capitals, rng))
    if truth == "options":
        target.facts["chance"] = 0.25
    for number in range(train):
        item = _drawn(parts[TRAIN], rng)
        noise = float(rng.integers(8, 25)) if rng.random() < 0.3 else None
        target.add(TRAIN, f"train-{number:05d}", said=item.text, voice=voices.draw(TRAIN, rng), snr_db=noise)


def _drawn(said: list[Spoken], rng: np.random.Generator) -> Spoken:
    kind = rng.choice(list(SHARES), p=list(SHARES.values()))
    chosen = [s for s in said if s.kind == kind]
    return chosen[int(rng.integers(len(chosen)))]


def _truth(item: Spoken, truth: str, capitals: list[str], rng: np.random.Generator) -> dict[str, Any]:
    if truth == "none":
        return {}
    if truth == "text":
        return {"text": item.text}
    if truth == "answer":
        return {"answer": item.fact.capital}
    if truth != "options":
        raise ConfigError(f"truth {truth!r} is none of text, options, answer, none")
    wrong = [c for c in capitals if c != item.fact.capital]
    options = [item.fact.capital, *(wrong[i] for i in rng.choice(len(wrong), 3, replace=False))]
    choices, answer = shuffled([f" {c}" for c in options], rng)
    return {"options": choices, "answer": answer}
