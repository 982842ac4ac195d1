"""Writing a data set folder."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lamofc.errors import ConfigError
from lamofc.jsonio import write_json, write_lines

PARTS = ("calibration", "test")
TRAIN = "train"  # never scored: what models that the project trains itself may see
SAMPLE_RATE = 16000


class DatasetFolder:
    """Collects items, writes their media at once, and items.jsonl and dataset.json at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.items: list[dict[str, Any]] = []
        self.ids: set[str] = set()
        self.facts: dict[str, Any] = {"chance": None}

    def add(self, part: str, name: str, **fields: Any) -> None:
        """Add a sample; its id is `name`, unique in the data set."""
        if part not in (*PARTS, TRAIN):
            raise ConfigError(f"part {part!r} is none of {', '.join((*PARTS, TRAIN))}")
        if name in self.ids:
            raise ConfigError(f"two samples have the id {name!r}")
        self.ids.add(name)
        self.items.append({"id": name, "part": part, **fields})

    def png(self, path: str, pixels: np.ndarray) -> str:
        """Write uint8 (height, width[, 3]) or uint16 (height, width) as PNG; -> `path`, relative to the folder."""
        self._place(path)
        Image.fromarray(pixels).save(self.folder / path, format="PNG", optimize=False)
        return path

    def wav(self, path: str, sound: np.ndarray) -> str:
        """Write int16 (samples,) at 16 kHz as WAV; -> `path`, relative to the folder."""
        self._place(path)
        with wave.open(str(self.folder / path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(sound.astype("<i2").tobytes())
        return path

    def finish(self, facts: dict[str, Any]) -> None:
        counts = {part: sum(item["part"] == part for item in self.items) for part in (*PARTS, TRAIN)}
        empty = [part for part in PARTS if not counts[part]]
        if empty:
            raise ConfigError(f"data set {facts.get('name')}: part {' and '.join(empty)} has no sample")
        write_lines(self.folder / "items.jsonl", self.items)
        write_json(self.folder / "dataset.json", facts | self.facts | {"counts": counts})

    def _place(self, path: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
