"""GSM8K: school arithmetic in words, answered by a number after free reasoning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets import questions, tables
from lamofc.datasets.folder import PARTS, DatasetFolder
from lamofc.errors import ConfigError

DESCRIPTION = "GSM8K problems and their final numbers"
LICENCE = "MIT"
OPTIONS = {"calibration": 48, "test": 100, "select": "longest"}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, calibration: int, test: int,
    select: str,
) -> None:  # fmt: skip
    """Fields: question, answer (the number after ####, as text without thousands commas). Parts are the set's own."""
    splits = [
        [(f"gsm8k-{split}-{i}", row["question"], final(row["answer"])) for i, row in enumerate(found)]
        for split in ("train", "test")
        for found in [tables.rows(packages, f"main/{split}-*", ("question", "answer"))]
    ]
    chosen = questions.disjoint(*splits, lambda p: p[1], lambda p: len(p[1]), (calibration, test), select, rng)
    for part, problems in zip(PARTS, chosen, strict=True):
        for name, question, answer in problems:
            target.add(part, name, question=question, answer=answer)


def final(solution: str) -> str:
    """The number after the last ####; ConfigError when there is none."""
    _, mark, number = solution.rpartition("####")
    if not mark or not number.strip():
        raise ConfigError(f"a GSM8K solution without a final number: {solution[-60:]!r}")
    return number.strip().replace(",", "")
