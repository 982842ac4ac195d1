"""Multiple choice by a generated letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamofc.tasks.answers import LETTERS, letter
from lamofc.tasks.generated import Generated

INSTRUCTION = "Answer with the letter of the right option only."


class Task(Generated):
    """truth: [index of the right option, number of options]. output: text, read by `answers.letter`."""

    def prompt(self, item: Mapping[str, Any]) -> str:
        options = [f"{LETTERS[i]}. {option.strip()}" for i, option in enumerate(item["options"])]
        return "\n".join([item["question"], *options, INSTRUCTION])

    def truth(self, item: Mapping[str, Any]) -> list[int]:
        return [item["answer"], len(item["options"])]

    def correct(self, text: str, truth: list[int]) -> bool:
        return letter(text, truth[1]) == truth[0]

    def given(self, text: str) -> Any:
        return letter(text, 26)
