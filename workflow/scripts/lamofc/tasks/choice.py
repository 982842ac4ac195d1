"""Multiple choice by log-likelihood: the option with the highest mean log-probability per token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.interfaces import Example
from lamofc.tasks import items, measures
from lamofc.tasks.divergence import divergence


class Task:
    """truth: index of the right option. output: {"choice", "logprobs"}. Options come shuffled from the data set."""

    metric, unit, higher_is_better = "accuracy", "%", True
    damage_name = "KL (nats)"
    modality = "text"
    measure = staticmethod(measures.likelihood)

    def __init__(self, dataset: Path, weights: Path) -> None:
        from transformers import AutoTokenizer

        self.dataset = dataset
        self.tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
        self.chance = 100.0 / len(next(items.of_part(dataset, "test"))["options"])

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            ids = np.asarray(self.tokenizer(item["prompt"]).input_ids, np.int64)
            options = [self.tokenizer(o, add_special_tokens=False).input_ids for o in item["options"]]
            yield Example(item["id"], {"ids": ids}, {"options": options}, item["answer"])

    def outcome(self, output: dict[str, Any], truth: int) -> dict[str, float]:
        return {"correct": float(output["choice"] == truth)}

    def score(self, outcomes: Mapping[str, np.ndarray]) -> np.ndarray:
        return 100 * outcomes["correct"].mean(-1)

    def flipped(self, output: dict[str, Any], reference: dict[str, Any]) -> bool:
        return output["choice"] != reference["choice"]

    def damage(self, output: dict[str, Any], reference: dict[str, Any]) -> float:
        """Kullback-Leibler divergence of the distribution over options from the uncompressed run's, nats."""
        return divergence(output["logprobs"], reference["logprobs"])
