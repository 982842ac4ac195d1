"""Sections of figures and tables: the benchmark's categories, with state-space models apart from other language models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the rules ask for names alone and should not wait for it
    import pandas as pd

NAMES = {"CVU": "vision", "CLU": "language", "CAU": "audio", "CTTI": "text-to-image"}
STATE_SPACE = "state space"
STATE_SPACE_FAMILIES = ("state_space_lm", "typeseg")
ORDER = ("vision", "language", STATE_SPACE, "audio", "text-to-image")


def of(rows: pd.DataFrame, families: Mapping[str, str]) -> dict[str, list[str]]:
    """{section: its curves in the order of the table}; `families`: model -> family, rows of the configuration.

    A category that is none of the benchmark's four is a section of its own, after them.
    """
    found: dict[str, list[str]] = {}
    for row in rows.drop_duplicates("curve").itertuples():
        found.setdefault(name(row.category, families.get(row.model, "")), []).append(row.curve)
    return {s: found[s] for s in sorted(found, key=lambda s: (ORDER.index(s) if s in ORDER else len(ORDER), s))}


def name(category: str, family: str) -> str:
    """Section of a curve of this category whose model is of this family."""
    language = category == "CLU"
    return STATE_SPACE if language and family in STATE_SPACE_FAMILIES else NAMES.get(category, category)


def slug(section: str) -> str:
    """As part of a file name."""
    return section.replace(" ", "-")
