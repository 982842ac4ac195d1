"""Multiple choice as the paper scores it: the model writes the letter of an option."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lamofc.tasks.generation import Generation

LETTERS = "ABCDEFGH"


class Task(Generation):
    """truth: the letter of the right option. Options come shuffled from the data set."""

    max_new_tokens = 4
    shots = 3

    def question(self, item: Mapping[str, Any]) -> str:
        lines = [f"{letter}. {option.strip()}" for letter, option in zip(LETTERS, item["options"], strict=False)]
        return "\n".join([item["question"], *lines])

    def answer(self, item: Mapping[str, Any]) -> str:
        return LETTERS[item["answer"]]

    def extract(self, text: str) -> str | None:
        """The first capital letter that stands alone."""
        found = re.search(rf"(?<![A-Za-z])[{LETTERS}](?![A-Za-z])", text)
        return found[0] if found else None
