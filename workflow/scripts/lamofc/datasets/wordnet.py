"""Nouns of WordNet 3: their senses, what kind of thing each is, and how common they are.

File layout: wndb(5WN). An index line lists a noun's senses, most frequent first; a data line holds a sense's
words, its pointers (`@`: is a kind of) and, after a bar, its gloss.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from lamofc.fetch.unpacked import find_one


class Nouns:
    """senses: noun -> offsets of its senses; `commonness`: how often a word occurs in the glosses of all nouns."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self.senses = {f[0]: f[6 + int(f[3]) :] for f in map(str.split, _lines(packages, "index.noun"))}
        self.commonness: Counter[str] = Counter()
        self.written: dict[str, set[str]] = {}  # words of a sense with their capitals: proper names are told apart
        self._kinds: dict[str, list[str]] = {}
        for line in _lines(packages, "data.noun"):
            fields, _, gloss = line.partition("|")
            self._read(fields.split())
            self.commonness.update(re.findall(r"[a-z]+", gloss.lower()))
        self.kinds_of = cache(self._kinds_of)

    def _read(self, fields: list[str]) -> None:
        count = int(fields[3], 16)
        self.written[fields[0]] = set(fields[4 : 4 + 2 * count : 2])
        pointers = fields[5 + 2 * count :]
        self._kinds[fields[0]] = [pointers[i + 1] for i in range(0, len(pointers) - 3, 4) if pointers[i] == "@"]

    def _kinds_of(self, sense: str) -> frozenset[str]:
        """The sense and everything it is a kind of, however far up."""
        return frozenset([sense]).union(*(self.kinds_of(above) for above in self._kinds[sense]))


def _lines(packages: Mapping[str, Path], name: str) -> list[str]:
    text = find_one(packages, f"wordnet/{name}").read_text(encoding="latin-1")
    return [line for line in text.splitlines() if not line.startswith(" ")]
