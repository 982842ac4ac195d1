"""Questions answered in words without options to choose from: the model's text must be the right one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamofc.tasks import items
from lamofc.tasks.generation import Generation


class Task(Generation):
    """truth: the right option as `extract` leaves it. Chance is what always giving the commonest answer scores."""

    max_new_tokens = 8
    shots = 3

    def __init__(self, dataset: Path, weights: Path) -> None:
        super().__init__(dataset, weights)
        answers = Counter(self.extract(self.answer(item)) for item in items.of_part(dataset, "test"))
        self.chance = 100 * max(answers.values()) / answers.total()

    def question(self, item: Mapping[str, Any]) -> str:
        return item["question"]

    def answer(self, item: Mapping[str, Any]) -> str:
        return item["options"][item["answer"]].strip()

    def extract(self, text: str) -> str | None:
        """The first line in lower case, without an article before it or punctuation at its end."""
        line = next((line for line in text.lower().splitlines() if line.strip()), "")
        return re.sub(r"^(the|an|a) |[\s.,;:!?]+$", "", line.strip()).strip() or None
