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
    "truth": "text",  # text: what is said; options: capitals to choose from; answer: the capital; harmful: whether so
    "options": 4,
    "named": False,  # whether the options are said aloud too
    "question": "",  # text that stands beside the sound
    "before": "",  # text in front of the sound
    "start": "",  # of the answer
    "held": {"calibration": 24, "test": 80},  # sentences of each scored part
    "places": {"calibration": 24, "test": 40},
    "seconds": 3.8,  # longest
    "degrade": "none",
    "snr_db": 10.0,
    "train": 0,  # utterances of the train part, named but not yet said: a training says them
    "mixed": 4000,
    "shares": {"sentence": 0.37, "capital": 0.2, "request": 0.08, "words": 0.35},  # of the train part; named: questions
    # that name two capitals to choose from
    "draw": 1,  # another one is another train part of the same things said, in other numbers and by other voices
    "times": 1,  # how often each thing is said in the scored parts, by another voice and with other options
}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, kind: str, truth: str, options: int,
    named: bool, question: str, before: str, start: str, held: Mapping[str, int], places: Mapping[str, int],
    seconds: float, degrade: str, snr_db: float, train: int, mixed: int, shares: Mapping[str, float], draw: int,
    times: int,
) -> None:  # fmt: skip
    """Fields: audio (WAV), said, seconds, question, start, voice, and by `truth` text, options and answer (index),
    answer, or harmful. The train part has said and voice alone. Equal seeds part what is said equally, whatever the
    kind."""
    parts = speakable.spoken(packages, held, places, mixed, rng)
    speakers, (noise,) = voices.Speakers(packages), rng.spawn(1)  # the same is said, alike, with and without noise
    capitals = sorted({s.fact.capital for part in PARTS for s in parts[part] if s.fact})
    for part in PARTS:
        for number, item in enumerate(_ordered([s for s in parts[part] if s.kind == kind], rng) * times):
            name, voice = f"{part[:5]}-{number:03d}", voices.draw(part, rng)
            known = _truth(item, truth, capitals, options, rng)
            said = speakable.named(item.text, known["options"]) if named else item.text
            sound = speakers.say(said, **voice)
            if len(sound) > seconds * SAMPLE_RATE:
                continue
            if degrade == "telephone-noise":
                sound = telephone(sound, snr_db, noise)
            fields = {"audio": target.wav(f"audio/{name}.wav", sound), "seconds": round(len(sound) / SAMPLE_RATE, 3)}
            fields |= {"said": said, "voice": voice, "question": question, "before": before, "start": start}
            target.add(part, name, **fields, **known)
    if truth == "options":
        target.facts["chance"] = 1 / options
    rng = rng.spawn(draw - 1)[-1] if draw > 1 else rng
    if "named" in shares:
        parts[TRAIN] += speakable.named_questions(parts, mixed, rng)
    for number in range(train):
        item = _drawn(parts[TRAIN], shares, rng)
        noise = float(rng.integers(6, 25)) if rng.random() < 0.4 else None
        target.add(TRAIN, f"train-{number:05d}", said=item.text, voice=voices.draw(TRAIN, rng), snr_db=noise)


def _ordered(said: list[Spoken], rng: np.random.Generator) -> list[Spoken]:
    """At random; of requests a harmful and a harmless one in turn, so that the first n are as many of either."""
    together = 2 if said[0].harmful is not None else 1
    return [said[together * i + k] for i in rng.permutation(len(said) // together) for k in range(together)]


def _drawn(said: list[Spoken], shares: Mapping[str, float], rng: np.random.Generator) -> Spoken:
    kind = rng.choice(list(shares), p=list(shares.values()))
    chosen = [s for s in said if s.kind == kind]
    return chosen[int(rng.integers(len(chosen)))]


def _truth(item: Spoken, truth: str, capitals: list[str], options: int, rng: np.random.Generator) -> dict[str, Any]:
    if truth == "harmful":
        return {"harmful": item.harmful}
    if truth == "text":
        return {"text": item.text}
    if truth == "answer":
        return {"answer": item.fact.capital}
    if truth != "options":
        raise ConfigError(f"truth {truth!r} is none of text, options, answer, harmful")
    wrong = [c for c in capitals if c != item.fact.capital]
    chosen = [item.fact.capital, *(wrong[i] for i in rng.choice(len(wrong), options - 1, replace=False))]
    choices, answer = shuffled([f" {c}" for c in chosen], rng)
    return {"options": choices, "answer": answer}
