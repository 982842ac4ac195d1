"""What is the capital of X? Four options out of the same continent's list, after a few solved examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamofc.datasets.choices import shuffled
from lamofc.datasets.folder import PARTS, TRAIN, DatasetFolder
from lamofc.datasets.quiz import read_quiz
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Capitals of countries, states and provinces from the BSD quiz: solved examples, a question, four options"
LICENCE = "BSD-3-Clause"
OPTIONS = {
    "calibration": 60,
    "train": 55,
    "rounds": 12,  # how often the train part asks about each of its facts, after other examples
    "examples": 3,
    "example_letters": 20,  # longest example, place and capital together: keeps prompts within 48 tokens
    "options": 4,
    "lists": ["africa", "america", "asia", "europe", "state", "province"],
}

STATEMENTS = (  # most with the place first: what is learnt in one direction is not known in the other
    "In {place} the capital is {capital}.", "{place} has {capital} as its capital.",
    "{place} is a place whose capital is {capital}.", "{capital} is the capital city of {place}.",
)  # fmt: skip


class Fact(NamedTuple):
    place: str
    capital: str
    source: str


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, calibration: int, train: int,
    rounds: int, examples: int, example_letters: int, options: int, lists: list[str],
) -> None:  # fmt: skip
    """Fields: question, prompt, options, answer (index), place. Examples are never the fact asked for.

    The train part asks about its own facts and states those of all parts in other words.
    """
    facts = read_facts(packages, lists)
    if len(facts) <= calibration + train:
        raise ConfigError(f"the quiz holds {len(facts)} facts, not more than {calibration} + {train} of two parts")
    capitals = {name: sorted({f.capital for f in facts if f.source == name}) for name in lists}
    order = [facts[i] for i in rng.permutation(len(facts))]
    last = len(order) - train
    pools = {"calibration": order[:calibration], "test": order[calibration:last], TRAIN: order[last:]}
    for part in (*PARTS, TRAIN):
        for fact in pools[part] * (rounds if part == TRAIN else 1):
            pool = pools[TRAIN if part == TRAIN else PARTS[0]]
            shown = [f for f in pool if f != fact and len(f.place + f.capital) <= example_letters]
            chosen = [shown[i] for i in rng.choice(len(shown), examples, replace=False)]
            choices, answer = _choices(fact, capitals[fact.source], options, rng)
            name, start = f"{fact.source}-{fact.place}".lower().replace(" ", "-"), prompt(chosen, fact)
            if part == TRAIN:
                name = f"{name}-{len(target.items)}"
            text = {"text": f"{start} {fact.capital}."} if part == TRAIN else {}
            target.add(part, name, question=f"What is the capital of {fact.place}?", prompt=start, options=choices,
                       answer=answer, place=fact.place, **text)  # fmt: skip
    for fact in order:
        for number, form in enumerate(STATEMENTS):
            target.add(TRAIN, f"fact{number}-{fact.place}", text=form.format(place=fact.place, capital=fact.capital))
    target.facts["chance"] = 1 / options


def prompt(examples: list[Fact], asked: Fact) -> str:
    """Solved lines, then the question as an unfinished line; options start with a space."""
    solved = [f"The capital of {f.place} is {f.capital}.\n" for f in examples]
    return "".join(solved) + f"The capital of {asked.place} is"


def read_facts(packages: Mapping[str, Path], lists: list[str]) -> list[Fact]:
    """Facts whose answer is not given away by the question and whose place names one place only."""
    facts = [
        Fact(row[0], row[1], name)
        for name in lists
        for row in read_quiz(find_one(packages, f"quiz/{name}"))
        if row[0] and row[1] and not _gives_away(row[0], row[1])
    ]
    meanings = Counter(place for place, _ in {(f.place, f.capital) for f in facts})
    first = {f.place: f for f in reversed(facts)}
    return [first[place] for place in dict.fromkeys(f.place for f in facts) if meanings[place] == 1]


def _gives_away(place: str, capital: str) -> bool:
    return place.lower() in capital.lower() or capital.lower() in place.lower()


def _choices(fact: Fact, capitals: list[str], count: int, rng: np.random.Generator) -> tuple[list[str], int]:
    others = [c for c in capitals if c != fact.capital]
    wrong = [others[i] for i in rng.choice(len(others), count - 1, replace=False)]
    return shuffled([f" {c}" for c in (fact.capital, *wrong)], rng)
