"""Speech recognition: word error rate after a stated normaliser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lamofc.interfaces import Example
from lamofc.tasks import items, measures


class Task:
    """truth and output: text. WER = word edits / reference words over all samples, in percent."""

    metric, unit, higher_is_better, chance = "WER", "%", False, None
    damage_name = "edits / word"
    modality = "audio"
    measure = staticmethod(measures.likelihood)

    def __init__(self, dataset: Path, weights: Path) -> None:
        self.dataset = dataset

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            sound = items.audio(self.dataset / item["audio"])
            yield Example(item["id"], {"audio": sound, **items.beside(item)}, {}, item["text"])

    def outcome(self, output: str, truth: str) -> dict[str, float]:
        reference = normalise(truth)
        return {"edits": float(edit_distance(reference, normalise(output))), "words": float(len(reference))}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["edits"].sum(-1) / np.maximum(outcomes["words"].sum(-1), 1)

    def flipped(self, output: str, reference: str) -> bool:
        return normalise(output) != normalise(reference)

    def damage(self, output: str, reference: str) -> float:
        """Word edits against the uncompressed run's transcript, per word of it."""
        words = normalise(reference)
        return edit_distance(words, normalise(output)) / max(1, len(words))


def normalise(text: str) -> list[str]:
    """Lower case, letters, digits and apostrophes kept, everything else a space; -> words."""
    return re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("\u2019", "'")).split()


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein distance between two word sequences."""
    row = np.arange(len(b) + 1)
    for i, word in enumerate(a, 1):
        substituted = row[:-1] + np.fromiter((word != other for other in b), int, len(b))
        best = np.minimum(substituted, row[1:] + 1)
        row = np.concatenate([[i], best])
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))
    return int(row[-1])
