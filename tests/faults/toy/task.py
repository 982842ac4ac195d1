"""The task of the test project's model: its samples are numbers that seed random features."""

from __future__ import annotations

from collections.abc import Iterator

from lamofc.interfaces import Example
from lamofc.tasks import classification, items


class Task(classification.Task):
    def examples(self, part: str, limit: int | None = None) -> Iterator[Example]:
        for item in items.of_part(self.dataset, part, limit):
            yield Example(item["id"], {"seed": item["seed"]}, {}, item["label"])
