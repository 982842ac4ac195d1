"""Telephone prompts read by one person, each by itself: some are for training, others for scores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets.asterisk_speech import LICENCE as LICENCE
from lamofc.datasets.asterisk_speech import read_prompts
from lamofc.datasets.folder import PARTS, SAMPLE_RATE, TRAIN, DatasetFolder
from lamofc.datasets.sound import levelled
from lamofc.datasets.speakable import split

DESCRIPTION = "English prompts of Asterisk (one speaker, 16 kHz G.722), one by one; parts share no prompt"
OPTIONS = {
    "held": {"calibration": 12, "test": 60},  # prompts of each scored part, at most
    "held_words": 3,  # fewest of a prompt of them
    "seconds": 3.8,  # longest
    "times": 4,  # how often a prompt is heard in training, at drawn speeds, some through a telephone
    "speeds": [85, 116],  # percent
    "noisy": 0.4,  # share of those through a telephone
    "question": "",  # text that stands beside the sound
    "before": "",  # text in front of the sound
    "start": "",  # of the answer
}
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGITS = {str(number): name for number, name in enumerate(_NAMES)}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, held: Mapping[str, int],
    held_words: int, seconds: float, times: int, speeds: list[int], noisy: float, question: str, before: str,
    start: str,
) -> None:  # fmt: skip
    """Fields: audio (WAV), said; of scored parts also text, seconds, question, before, start; of the train part speed
    (percent) and snr_db, which a training applies. Words of the scored parts are in the train part too."""
    prompts = {said(p.text): levelled(p.sound) for p in read_prompts(packages, 1, seconds) if plain(said(p.text))}
    prompts = {text: sound for text, sound in prompts.items() if len(sound) <= seconds * SAMPLE_RATE}
    parts = split([t for t in prompts if len(t.split()) >= held_words], held, rng)
    parts[TRAIN] += [t for t in prompts if len(t.split()) < held_words]
    for part in PARTS:
        for number, text in enumerate(parts[part]):
            name, sound = f"{part[:5]}-{number:03d}", prompts[text]
            fields = {"audio": target.wav(f"audio/{name}.wav", sound), "said": text, "text": text}
            fields |= {"seconds": round(len(sound) / SAMPLE_RATE, 3)}
            target.add(part, name, **fields, question=question, before=before, start=start)
    for number, text in enumerate(parts[TRAIN]):
        audio = target.wav(f"audio/train-{number:03d}.wav", prompts[text])
        for time in range(times):
            speed = int(rng.integers(*speeds)) if time else 100
            snr_db = float(rng.integers(6, 25)) if rng.random() < noisy else None
            target.add(TRAIN, f"train-{number:03d}-{time}", audio=audio, said=text, speed=speed, snr_db=snr_db)


def said(text: str) -> str:
    """Words alone, a digit by its name."""
    return " ".join(_DIGITS.get(w, w) for w in re.findall(r"[a-z0-9']+", text.lower()))


def plain(text: str) -> bool:
    """No numbers of several digits, and no letters read one by one, which sound as words do."""
    return not any(re.search(r"\d", w) or (len(w) == 1 and w not in "ai") for w in text.split())
