"""What is this text written in? The type that a tagger finds in a piece of a file, against the file's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lamofc.errors import ConfigError
from lamofc.interfaces import Example
from lamofc.tasks import classification, items


class Task(classification.Task):
    """truth: the label's index in the model's own list. Chance is what one constant answer scores.

    The answer is the best of the types that the set has.
    """

    metric, modality = "top-1", None

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset = dataset
        self.labels = json.loads((weights / "config.json").read_text())["labels"]
        types = {i["type"] for part in ("calibration", "test") for i in items.of_part(dataset, part)}
        if unknown := sorted(types - set(self.labels)):
            raise ConfigError(f"{dataset}: type {unknown[0]!r} is none of the labels in {weights / 'config.json'}")
        self.classes = sorted(self.labels.index(t) for t in types)
        self.chance = 100.0 / len(self.classes)

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            text = np.frombuffer(item["text"].encode("latin-1"), np.uint8)
            yield Example(item["id"], {"bytes": text}, {}, self.labels.index(item["type"]))
