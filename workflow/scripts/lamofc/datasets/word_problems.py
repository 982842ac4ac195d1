"""Word problems of one or two steps with small numbers; the answer is generated, not chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamofc.datasets.first_names import read_names
from lamofc.datasets.folder import PARTS, TRAIN, DatasetFolder
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_one

DESCRIPTION = "Word problems with sums, differences and products of small numbers: solved examples, then a problem"
LICENCE = "GFDL-1.2-no-invariants-or-later"
OPTIONS = {"calibration": 60, "test": 180, "train": 3000, "examples": 3, "commonness": 7, "letters": [3, 6]}

THINGS = ("apples", "books", "pencils", "stamps", "marbles", "cards", "coins", "cookies", "eggs", "flowers", "balls")
TEMPLATES = {
    "+": (
        "{who} has {a} {things} and gets {b} more. How many {things} does {who} have now?",
        "There are {a} {things} in a box and {b} {things} in a bag. How many {things} are there in all?",
        "{who} bought {a} {things} on Monday and {b} on Friday. How many {things} did {who} buy?",
    ),
    "-": (
        "{who} had {a} {things} and gave {b} away. How many {things} are left?",
        "There were {a} {things} on the table. {who} took {b} of them. How many {things} are still there?",
        "{who} had {a} {things} and lost {b}. How many {things} does {who} have now?",
    ),
    "*": (
        "There are {a} boxes with {b} {things} in each. How many {things} are there?",
        "{who} buys {b} {things} on each of {a} days. How many {things} does {who} buy?",
    ),
}
SIGNS = {"+": "+", "-": "-", "*": "x"}


class Problem(NamedTuple):
    sign: str
    a: int
    b: int

    @property
    def result(self) -> int:
        return {"+": self.a + self.b, "-": self.a - self.b, "*": self.a * self.b}[self.sign]

    @property
    def working(self) -> str:
        return f"{self.a} {SIGNS[self.sign]} {self.b} = {self.result}"


class Told(NamedTuple):
    problem: Problem
    words: str

    @property
    def question(self) -> str:
        return f"Question: {self.words}\nAnswer:"

    @property
    def solved(self) -> str:
        return f"{self.question} {self.problem.working}"


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, calibration: int, test: int,
    train: int, examples: int, commonness: int, letters: list[int],
) -> None:  # fmt: skip
    """Fields: question, prompt, answer (whole number), working, like (sign), numbers. No sum is asked in two parts.

    Solved examples are of the same sign. The train part tells its own problems, and states all sums bare. Chance is
    what the commonest answer alone scores.
    """
    own = read_names(find_one(packages, "nam_dict.txt"), commonness)
    names = [n for both in own.values() for n in both if letters[0] <= len(n) <= letters[1]]
    if len(names) < 10:
        raise ConfigError(f"the dictionary gives {len(names)} names, 10 are wanted; lower `commonness`")
    problems = all_problems()
    order = [problems[i] for i in rng.permutation(len(problems))]
    cuts = (order[:calibration], order[calibration : calibration + test], order[calibration + test :])
    told: dict[str, list[Told]] = {}
    for part, count, asked in zip((*PARTS, TRAIN), (calibration, test, train), cuts, strict=True):
        told[part] = [_tell(asked[i % len(asked)], names, rng) for i in range(count)]
        pool = told[TRAIN if part == TRAIN else PARTS[0]]
        for number, one in enumerate(told[part]):
            others = [t for t in pool if t.problem != one.problem and t.problem.sign == one.problem.sign]
            shown = [others[i] for i in rng.choice(len(others), examples, replace=False)]
            start = "".join(f"{t.solved}\n\n" for t in shown) + one.question
            text = {"text": f"{start} {one.problem.working}\n\n"} if part == TRAIN else {}
            target.add(part, f"{part[:5]}-{number:04d}", prompt=start, question=one.words, working=one.problem.working,
                       answer=one.problem.result, like=one.problem.sign,
                       numbers=f"{one.problem.a}{one.problem.sign}{one.problem.b}",
                       **text)  # fmt: skip
    for problem in problems:
        target.add(TRAIN, f"fact-{problem.a}{problem.sign}{problem.b}", text=problem.working)
    answers = Counter(t.problem.result for t in told["test"])
    target.facts["chance"] = max(answers.values()) / test


def all_problems() -> list[Problem]:
    """Sums and differences of numbers up to 20, products of numbers up to 9."""
    sums = [Problem("+", a, b) for a in range(2, 21) for b in range(2, 21)]
    differences = [Problem("-", a, b) for a in range(4, 21) for b in range(2, a - 1)]
    products = [Problem("*", a, b) for a in range(2, 10) for b in range(2, 10)]
    return sums + differences + products


def _tell(problem: Problem, names: list[str], rng: np.random.Generator) -> Told:
    templates = TEMPLATES[problem.sign]
    words = templates[int(rng.integers(len(templates)))].format(
        who=names[int(rng.integers(len(names)))],
        things=THINGS[int(rng.integers(len(THINGS)))],
        a=problem.a,
        b=problem.b,
    )
    return Told(problem, words)
