"""Published multiple choice sets: ARC-Challenge, HellaSwag, TruthfulQA (mc1), WinoGrande."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lamofc.datasets import questions, tables
from lamofc.datasets.folder import DatasetFolder
from lamofc.datasets.questions import Question
from lamofc.errors import ConfigError

DESCRIPTION = "A published multiple choice set, options shuffled, samples selected by the options"
LICENCE = "see the row of the data set"
OPTIONS = {"set": "arc-challenge", "calibration": 48, "test": 100, "select": "longest"}


class Layout(NamedTuple):
    """Where a set keeps its splits and how a row becomes a question."""

    calibration: str
    test: str
    columns: tuple[str, ...]
    read: Callable[[str, dict[str, Any]], Question]


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, set: str, calibration: int,
    test: int, select: str,
) -> None:  # fmt: skip
    """Fields: question, options, answer (index). Calibration comes from the set's training split, or, where it has
    one split only, from questions that the test part does not hold."""
    if set not in LAYOUTS:
        raise ConfigError(f"set {set!r} is none of {', '.join(LAYOUTS)}")
    layout = LAYOUTS[set]
    splits = [
        [layout.read(f"{split}-{i}", row) for i, row in enumerate(tables.rows(packages, pattern, layout.columns))]
        for split, pattern in (("train", layout.calibration), ("test", layout.test))
    ]
    parts = questions.disjoint(*splits, lambda q: q.text, Question.length, (calibration, test), select, rng)
    questions.add_choices(target, parts, rng)


def arc(name: str, row: dict[str, Any]) -> Question:
    labels = list(row["choices"]["label"])
    return Question(row["id"], row["question"], tuple(row["choices"]["text"]), labels.index(row["answerKey"]))


def hellaswag(name: str, row: dict[str, Any]) -> Question:
    """Context and four endings; the markers of the WikiHow part ([header], [title], [step]) are taken out."""
    context = plain(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}")
    text = f"Which ending continues the text best?\n{context}"
    return Question(name, text, tuple(map(plain, row["endings"])), int(row["label"]))


def truthfulqa(name: str, row: dict[str, Any]) -> Question:
    choices, labels = row["mc1_targets"]["choices"], list(row["mc1_targets"]["labels"])
    return Question(name, row["question"], tuple(choices), labels.index(1))


def winogrande(name: str, row: dict[str, Any]) -> Question:
    text = f"What belongs in place of the underscore?\n{row['sentence']}"
    return Question(name, text, (row["option1"], row["option2"]), int(row["answer"]) - 1)


def plain(text: str) -> str:
    """[title] ends a sentence, other bracketed markers go, blanks are single."""
    return " ".join(re.sub(r"\[[^\]]*\]", "", text.replace(" [title]", ". ")).split())


LAYOUTS = {
    "arc-challenge": Layout("ARC-Challenge/train-*", "ARC-Challenge/test-*",
                            ("id", "question", "choices", "answerKey"), arc),
    "hellaswag": Layout("train-*", "validation-*", ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
                        hellaswag),
    "truthfulqa-mc1": Layout("multiple_choice/validation-*", "multiple_choice/validation-*",
                             ("question", "mc1_targets"), truthfulqa),
    "winogrande": Layout("winogrande_xl/train-*", "winogrande_xl/validation-*",
                         ("sentence", "option1", "option2", "answer"), winogrande),
}  # fmt: skip
