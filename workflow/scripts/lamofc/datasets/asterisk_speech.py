"""Telephone prompts read by one speaker in a studio, joined to utterances of some seconds, with their text."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamofc.datasets.folder import PARTS, SAMPLE_RATE, DatasetFolder
from lamofc.datasets.sound import read_g722, telephone
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_all, find_one

DESCRIPTION = "English prompts of Asterisk (one speaker, 16 kHz G.722), joined with pauses, and their exact text"
LICENCE = "CC-BY-SA-3.0"
SPEAKER = "en_US_f_Allison"
OPTIONS = {
    "calibration_share": 0.28,
    "seconds": [5.0, 12.0],
    "pause": 0.3,
    "min_words": 2,
    "degrade": "none",
    "snr_db": 10.0,
}


class Prompt(NamedTuple):
    text: str
    sound: np.ndarray  # int16 (samples,)


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, calibration_share: float,
    seconds: list[float], pause: float, min_words: int, degrade: str, snr_db: float,
) -> None:  # fmt: skip
    """Fields: audio (WAV), text, seconds. No prompt, and no text, is used twice.

    degrade: none, or telephone-noise (300-3400 Hz and white noise at `snr_db`); the same seed joins the
    same utterances with and without it.
    """
    if degrade not in ("none", "telephone-noise"):
        raise ConfigError(f"degrade {degrade!r} is none of none, telephone-noise")
    prompts = read_prompts(packages, min_words, seconds[1])
    utterances = join([prompts[i] for i in rng.permutation(len(prompts))], seconds, pause)
    first_test = round(len(utterances) * calibration_share)
    for number, spoken in enumerate(utterances):
        part, name = PARTS[number >= first_test], f"utterance-{number:03d}"
        sound = telephone(spoken.sound, snr_db, rng) if degrade == "telephone-noise" else spoken.sound
        audio = target.wav(f"audio/{name}.wav", sound)
        target.add(part, name, audio=audio, text=spoken.text, seconds=round(len(sound) / SAMPLE_RATE, 3))


def read_prompts(packages: Mapping[str, Path], min_words: int, longest: float) -> list[Prompt]:
    """Prompts of plain words, each text once, `longest` seconds at most."""
    files = {
        p.as_posix().split(f"/{SPEAKER}/")[1].removesuffix(".g722"): p
        for p in find_all(packages, f"{SPEAKER}/**/*.g722")
    }
    found: dict[str, Prompt] = {}
    for name, text in read_texts(find_one(packages, "core-sounds-en.txt.gz")).items():
        key = " ".join(re.findall(r"[a-z0-9']+", text.lower()))
        if name in files and key not in found and is_speech(text, min_words):
            sound = read_g722(files[name])
            if len(sound) <= longest * SAMPLE_RATE:
                found[key] = Prompt(text, sound)
    return list(found.values())


def read_texts(path: Path) -> dict[str, str]:
    """Prompt name -> what is said, out of `name: text` lines; comment lines start with a semicolon."""
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        pairs = (line.split(":", 1) for line in file if ":" in line and not line.startswith(";"))
        return {name.strip(): " ".join(text.split()) for name, text in pairs}


def is_speech(text: str, min_words: int) -> bool:
    """Plain words, and digits among them: no tones in brackets, signs, open ends or single words."""
    plain = re.fullmatch(r"[A-Za-z0-9' ,.?!;-]+", text) is not None and ".." not in text
    return plain and len(re.findall(r"[A-Za-z']+", text)) >= min_words


def join(prompts: list[Prompt], seconds: list[float], pause: float) -> list[Prompt]:
    """Take prompts in turn into utterances of `seconds` [shortest, longest]; a last short one is dropped."""
    silence = np.zeros(round(pause * SAMPLE_RATE), np.int16)
    made: list[Prompt] = []
    waiting = list(prompts)
    while waiting:
        chosen, length = [], 0.0
        while length < seconds[0] and (fitting := _first_fitting(waiting, seconds[1] - length - pause)) is not None:
            chosen.append(waiting.pop(fitting))
            length += len(chosen[-1].sound) / SAMPLE_RATE + pause * (len(chosen) > 1)
        if length < seconds[0]:
            return made
        sounds = [piece for p in chosen for piece in (silence, p.sound)][1:]
        made.append(Prompt(" ".join(p.text for p in chosen), np.concatenate(sounds)))
    return made


def _first_fitting(prompts: list[Prompt], seconds: float) -> int | None:
    return next((i for i, p in enumerate(prompts) if len(p.sound) <= seconds * SAMPLE_RATE), None)
