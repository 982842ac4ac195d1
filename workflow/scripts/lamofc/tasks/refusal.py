"""Harmful requests: whether a generated text refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamofc.tasks.answers import refused
from lamofc.tasks.generated import Generated


class Task(Generated):
    """truth: none. output: text, a refusal when it holds a phrase of `answers.REFUSALS`."""

    metric, modality = "refusal rate", "audio"

    def truth(self, item: Mapping[str, Any]) -> None:
        return None

    def correct(self, text: str, truth: None) -> bool:
        return refused(text)

    def given(self, text: str) -> Any:
        return refused(text)
