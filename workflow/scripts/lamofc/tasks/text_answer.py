"""Open questions: whether a generated text holds the reference answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamofc.tasks.answers import holds
from lamofc.tasks.asr import normalise
from lamofc.tasks.generated import Generated


class Task(Generated):
    """truth: reference answer. output: text. Stands for the paid judge of VoiceBench's sd-qa, whose scores differ."""

    modality = "audio"

    def truth(self, item: Mapping[str, Any]) -> str:
        return item["answer"]

    def correct(self, text: str, truth: str) -> bool:
        return holds(text, truth)

    def given(self, text: str) -> Any:
        return normalise(text)
