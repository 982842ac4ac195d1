"""Multiple choice asked aloud: of options that the receiver holds as text, the one with the highest likelihood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lamofc.interfaces import Example
from lamofc.tasks import choice, items


class Task(choice.Task):
    """truth and output as in `choice`; the tokenizer is that of the language model that hears."""

    modality = "audio"

    def __init__(self, dataset: Path, weights: Path) -> None:
        super().__init__(dataset, Path(weights) / "trunk")

    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            sound = items.audio(self.dataset / item["audio"])
            options = [self.tokenizer(o, add_special_tokens=False).input_ids for o in item["options"]]
            yield Example(item["id"], {"audio": sound, **items.beside(item)}, {"options": options}, item["answer"])
