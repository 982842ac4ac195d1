"""From the rows of published question sets to shuffled, selected samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.errors import ConfigError

SELECTIONS = ("longest", "random", "all")


class Question(NamedTuple):
    """A multiple choice question: `right` is the index of the right one of `options`."""

    name: str
    text: str
    options: tuple[str, ...]
    right: int

    def length(self) -> int:
        return len(self.text) + sum(map(len, self.options))


def select(items: Sequence[Any], length: Any, count: int | None, how: str, rng: np.random.Generator) -> list[Any]:
    """`count` items in random order, so that any prefix is a fair sample of them.

    how: the `longest` by `length` in characters (ties by order), as the paper chooses its language samples;
    `random`; or `all`, whatever the count. Characters stand for tokens: a data set serves several tokenizers.
    """
    if how not in SELECTIONS:
        raise ConfigError(f"selection {how!r} is none of {', '.join(SELECTIONS)}")
    order = rng.permutation(len(items))
    if how == "all" or count is None:
        return [items[i] for i in order]
    if len(items) < count:
        raise ConfigError(f"{count} samples are wanted and the files hold {len(items)}")
    if how == "random":
        return [items[i] for i in order[:count]]
    longest = set(sorted(range(len(items)), key=lambda i: -length(items[i]))[:count])
    return [items[i] for i in order if i in longest]


def disjoint(
    calibration: Sequence[Any], test: Sequence[Any], group: Any, length: Any, counts: tuple[int, int], how: str,
    rng: np.random.Generator,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """Test samples by `how`, then calibration samples at random whose `group` no test sample has.

    `calibration` and `test` may be the same items where a set has one split only.
    """
    chosen = select(test, length, counts[1], how, rng)
    taken = {group(item) for item in chosen}
    rest = [item for item in calibration if group(item) not in taken]
    return select(rest, length, counts[0], "random", rng), chosen


def add_choices(target: DatasetFolder, parts: Iterable[Sequence[Question]], rng: np.random.Generator) -> None:
    """Fields: question, options in shuffled order, answer (index), so that a constant letter scores chance."""
    counts: list[int] = []
    for part, questions in zip(PARTS, parts, strict=True):
        for q in questions:
            order = rng.permutation(len(q.options))
            target.add(part, q.name, question=q.text, options=[q.options[i] for i in order],
                       answer=int(np.flatnonzero(order == q.right)[0]))  # fmt: skip
            counts += [len(q.options)] if part == "test" else []
    target.facts["chance"] = float(np.mean([1 / n for n in counts]))
