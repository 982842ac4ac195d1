"""What a projector is trained on: encoder frames of synthesised utterances, and tokens of what is said in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lamofc.datasets.folder import SAMPLE_RATE
from lamofc.datasets.sound import telephone
from lamofc.models.audio_parts import FRAME, load_encoder
from lamofc.speech.voices import Speakers
from lamofc.tasks import items

_BATCH = 16
_NOISES = 400  # different ones


class Heard(NamedTuple):
    frames: torch.Tensor  # float16 (frames, width)
    said: str


def said(items_of_part: Sequence[Mapping[str, Any]], packages: Mapping[str, Path], seconds: float) -> Iterator[tuple]:
    """Items of a train part -> (float32 sound, text), those that last longer left out."""
    speakers = Speakers(packages)
    for number, item in enumerate(items_of_part):
        sound = speakers.say(item["said"], **item["voice"])
        if len(sound) > seconds * SAMPLE_RATE:
            continue
        if item["snr_db"] is not None:
            sound = telephone(sound, item["snr_db"], np.random.default_rng(number % _NOISES))
        yield sound.astype(np.float32) / 32768, item["said"]


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
