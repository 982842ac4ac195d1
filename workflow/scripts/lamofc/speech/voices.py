"""Who speaks: voices of two engines in three groups that share none, at drawn rates and pitches."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.datasets.folder import PARTS, TRAIN
from lamofc.datasets.sound import faster, levelled

_ACCENTS = ("en-us",)
_LEARNT = ("", "+f1", "+f2", "+f4", "+m1", "+m2", "+m3", "+m4", "+m6", "+m8", "+Alex", "+Alicia", "+Andrea", "+Andy",
           "+Annie", "+Gene", "+Hugo", "+Lee", "+Marco", "+Mario", "+Michael", "+Mike", "+Reed", "+anika", "+antonio",
           "+aunty", "+belinda", "+benjamin", "+boris", "+caleb", "+david", "+ed", "+edward", "+ian", "+iven", "+john",
           "+klatt2", "+linda", "+max", "+michel", "+miguel", "+pablo", "+paul", "+pedro", "+quincy", "+rob", "+robert",
           "+shelby", "+travis", "+victor", "+zac")  # fmt: skip
VOICES = {  # part -> Flite's voices, variants of eSpeak NG's
    TRAIN: (("awb", "rms", "kal16"), _LEARNT),
    PARTS[0]: ((), ("+f3", "+m7", "+steph")),
    PARTS[1]: (("slt",), ("+f5", "+m5", "+adam")),
}
PEOPLE = {TRAIN: 0.4, PARTS[0]: 0.0, PARTS[1]: 0.25}  # share of utterances by voices built from recordings
_SPEEDS = (90, 126)  # percent, of these voices in training: faster is higher and from a smaller head, so that three
# men's voices become those of more people
_RANGES = {TRAIN: {"rate": (140, 220), "pitch": (20, 85), "spread": (25, 75)}}
_PLAIN = {"rate": (150, 200), "pitch": (30, 75), "spread": (35, 65)}


def draw(part: str, rng: np.random.Generator) -> dict[str, Any]:
    """A voice of the part, and for eSpeak NG how it speaks: what `say` takes."""
    people, variants = VOICES[part]
    if rng.random() < PEOPLE[part]:
        speed = {"speed": int(rng.integers(*_SPEEDS))} if part == TRAIN else {}
        return {"engine": "flite", "voice": people[int(rng.integers(len(people)))]} | speed
    voice = _ACCENTS[int(rng.integers(len(_ACCENTS)))] + variants[int(rng.integers(len(variants)))]
    return {"engine": "espeak", "voice": voice} | {
        k: int(rng.integers(*v)) for k, v in _RANGES.get(part, _PLAIN).items()
    }


class Speakers:
    """Both engines over unpacked packages, in a process of their own: they remember what they said, and what a sound is
    like depends on those before it. The same calls of two objects give the same bytes."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self.packages = dict(packages)
        self._process = ProcessPoolExecutor(1, mp_context=get_context("fork"))

    def say(self, text: str, engine: str, speed: int = 100, **how: Any) -> np.ndarray:
        """-> int16 (samples,) at 16 kHz, peak at half of full scale, silence cut at either end; speed: of `faster`."""
        sound = self._process.submit(_say, self.packages, engine, text, how).result().astype(np.float64)
        return levelled(faster(sound, speed))


_engines: dict[str, Any] = {}  # of the process that speaks


def _say(packages: Mapping[str, Path], engine: str, text: str, how: Mapping[str, Any]) -> np.ndarray:
    from lamofc.speech import espeak, flite

    if engine not in _engines:
        _engines[engine] = {"espeak": espeak, "flite": flite}[engine].Engine(packages)
    return _engines[engine].say(text, **how)
