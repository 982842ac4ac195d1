"""Arithmetic in words: the last number of a generated text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamofc.tasks.answers import number
from lamofc.tasks.generated import Generated


class Task(Generated):
    """truth: number. output: text with reasoning, read by `answers.number`."""

    metric, max_new_tokens = "exact match", 256

    def truth(self, item: Mapping[str, Any]) -> float:
        return float(item["answer"])

    def correct(self, text: str, truth: float) -> bool:
        found = number(text)
        return found is not None and abs(found - truth) < 1e-6

    def given(self, text: str) -> Any:
        return number(text)
