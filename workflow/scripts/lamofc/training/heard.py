"""What a projector is trained on: encoder frames of utterances, synthesised and recorded, and what is said in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lamofc.datasets.folder import SAMPLE_RATE, TRAIN
from lamofc.datasets.sound import faster, telephone
from lamofc.models.audio_parts import FRAME, load_encoder
from lamofc.speech.voices import Speakers
from lamofc.tasks import items

_BATCH = 16
_NOISES = 400  # different ones


class Heard(NamedTuple):
    frames: torch.Tensor  # float16 (frames, width)
    said: str


def said(dataset: Path, packages: Mapping[str, Path], seconds: float) -> Iterator[tuple]:
    """(float32 sound, text) of the train part: items that name a voice are said, those that name a recording are read.
    Those that last longer are left out."""
    speakers = Speakers(packages)
    for number, item in enumerate(items.of_part(dataset, TRAIN)):
        sound = speakers.say(item["said"], **item["voice"]) if "voice" in item else _played(dataset, item)
        if len(sound) > seconds * SAMPLE_RATE:
            continue
        if item["snr_db"] is not None:
            sound = telephone(sound, item["snr_db"], np.random.default_rng(number % _NOISES))
        yield sound.astype(np.float32) / 32768, item["said"]


def _played(dataset: Path, item: Mapping[str, Any]) -> np.ndarray:
    """A recording at its item's speed: int16."""
    return np.rint(faster(items.audio(dataset / item["audio"]) * 32768, item["speed"])).astype(np.int16)


def recorded(dataset: Path, part: str) -> Iterator[tuple]:
    """(float32 sound, text) of a scored part."""
    for item in items.of_part(dataset, part):
        yield items.audio(dataset / item["audio"]), item["said"]


@torch.inference_mode()
def hear(spoken: Iterator[tuple], weights: Path, stack: int) -> Iterator[Heard]:
    """The encoder's frames of the sound, a multiple of `stack`, of windows as long as the encoder's."""
    from transformers import WhisperFeatureExtractor

    encoder = load_encoder(weights, "float32", "cpu")
    mel = WhisperFeatureExtractor.from_pretrained(weights, local_files_only=True)
    pairs = list(spoken)
    for start in range(0, len(pairs), _BATCH):
        sounds = [sound for sound, _ in pairs[start : start + _BATCH]]
        states = encoder(mel(sounds, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features).last_hidden_state
        for (sound, text), state in zip(pairs[start : start + _BATCH], states, strict=True):
            yield Heard(state[: stack * -(-len(sound) // (FRAME * stack))].half().clone(), text)
