"""Answers that the model writes: greedy text, then the letter or number in it. Unparseable is wrong."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.interfaces import Example
from lamofc.tasks import items, measures
from lamofc.tasks.dialogue import prompt_ids, stop_ids
from lamofc.tasks.divergence import stepwise_divergence


class Generation(ABC):
    """truth: what `extract` finds in a right answer. output: {"tokens", "candidates", "logprobs"}, models/decoding.py.

    Each sample is asked after `shots` solved samples of the calibration part (of the train part in the train part),
    other ones for each sample: a prefix that is equal for all would cross the split for nothing.
    """

    metric, unit, higher_is_better, modality = "exact match", "%", True, "text"
    damage_name = "KL per step (nats)"
    measure = staticmethod(measures.likelihood)
    max_new_tokens: int
    shots: int
    chat = True  # whether the chat template is used where the model has one

    def __init__(self, dataset: Path, weights: Path) -> None:
        from transformers import AutoTokenizer

        self.dataset = dataset
        self.tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
        self.stop = stop_ids(self.tokenizer)
        self.chance = 100 * float(items.facts(dataset)["chance"])

    @abstractmethod
    def question(self, item: Mapping[str, Any]) -> str:
        """What is asked, in words."""

    @abstractmethod
    def answer(self, item: Mapping[str, Any]) -> str:
        """The right answer as a solved example gives it."""

    @abstractmethod
    def extract(self, text: str) -> Any:
        """The answer that a text gives; None where it gives none."""

    def solved(self, item: Mapping[str, Any], number: int, pool: list[dict[str, Any]]) -> list[tuple[str, str]]:
        """(question, answer) of the solved examples before the part's sample of that number, from there on in the
        pool; like it, where the data set tells items apart by a field `like`."""
        start = self.shots * number % len(pool)
        others = (o for o in pool[start:] + pool[:start] if o["id"] != item["id"] and o.get("like") == item.get("like"))
        return [(self.question(o), self.answer(o)) for o in itertools.islice(others, self.shots)]

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        pool = list(items.asked(self.dataset, "train" if part == "train" else "calibration"))
        side = {"max_new_tokens": self.max_new_tokens, "stop": self.stop}
        asked = items.of_part(self.dataset, part, limit) if part != "train" else itertools.islice(pool, limit)
        for number, item in enumerate(asked):
            ids = prompt_ids(self.tokenizer, self.solved(item, number, pool), self.question(item), self.chat)
            yield Example(item["id"], {"ids": ids}, dict(side), self.extract(self.answer(item)))

    def given(self, output: Mapping[str, Any]) -> Any:
        """The answer in an output."""
        return self.extract(self.tokenizer.decode(output["tokens"], skip_special_tokens=True))

    def outcome(self, output: Mapping[str, Any], truth: Any) -> dict[str, float]:
        given = self.given(output)
        return {"correct": float(given is not None and given == truth), "parsed": float(given is not None)}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["correct"].mean(-1)

    def flipped(self, output: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        return self.given(output) != self.given(reference)

    def damage(self, output: Mapping[str, Any], reference: Mapping[str, Any]) -> float:
        """Kullback-Leibler divergence per step from the uncompressed run, over the steps that both took after the
        same text, nats: the last of them is the one at which they part."""
        return stepwise_divergence(output, reference)
