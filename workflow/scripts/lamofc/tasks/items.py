"""Reading a data set folder: items.jsonl (id, part, fields) and the media files it names."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lamofc.errors import ConfigError
from lamofc.jsonio import read_json, read_lines

PARTS = ("calibration", "test", "train")


def of_part(dataset: Path, part: str, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Items of a part in file order, `limit` at most; ConfigError when there are fewer than `limit`."""
    if part not in PARTS:
        raise ConfigError(f"part {part!r} is none of {', '.join(PARTS)}")
    found = 0
    for item in read_lines(dataset / "items.jsonl"):
        if item["part"] == part and (limit is None or found < limit):
            found += 1
            yield item
    if limit is not None and found < limit:
        raise ConfigError(f"{dataset}: part {part} has {found} samples where config/scenarios.tsv asks for {limit}")


def asked(dataset: Path, part: str) -> Iterator[dict[str, Any]]:
    """Items of a part that ask something: the train part also holds plain texts."""
    return (item for item in of_part(dataset, part) if "question" in item)


def facts(dataset: Path) -> dict[str, Any]:
    """What the builder says of the data set."""
    return read_json(dataset / "dataset.json")


def image(path: Path) -> np.ndarray:
    """RGB image, uint8 (height, width, 3)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def mask(path: Path) -> np.ndarray:
    """Binary mask, bool (height, width)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L")) > 127


def depth(path: Path) -> np.ndarray:
    """16-bit PNG in millimetres -> float32 (height, width), metres."""
    with Image.open(path) as picture:
        return np.asarray(picture).astype(np.float32) / 1000


def audio(path: Path) -> np.ndarray:
    """Mono 16 kHz 16-bit WAV -> float32 (samples,) in [-1, 1)."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (16000, 1, 2):
            raise ConfigError(f"{path}: audio must be mono, 16 kHz, 16-bit")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def beside(item: dict[str, Any]) -> dict[str, str]:
    """What stands beside an item's sound: the instruction, and text before the sound and the start of the answer where
    there are such."""
    return {"text": item.get("question", "")} | {k: item[k] for k in ("before", "start") if item.get(k)}
