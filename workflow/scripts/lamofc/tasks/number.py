"""Word problems as the paper scores them: the model writes its working, the last number in it counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from lamofc.tasks.generation import Generation


class Task(Generation):
    """truth: a number as text. Chance is what always answering the commonest number scores."""

    max_new_tokens = 14
    shots = 3
    chat = False  # in turns a small model tells a story instead of working the sum out as shown

    def question(self, item: Mapping[str, Any]) -> str:
        return item["question"]

    def answer(self, item: Mapping[str, Any]) -> str:
        return item["working"]

    def extract(self, text: str) -> str | None:
        """The last number of the text: signs, thousands separators, decimals; `7.0` is `7`. Lines after the first
        blank one are another question's."""
        found = re.findall(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?", text.strip().split("\n\n")[0])
        if not found:
            return None
        value = Decimal(found[-1].replace(",", ""))
        return str(int(value)) if value == value.to_integral_value() else str(value.normalize())
