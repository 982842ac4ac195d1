"""Tiny packages for the language data sets: a WordNet of made-up nouns and a dictionary of made-up names."""

from __future__ import annotations

import itertools
from pathlib import Path

from lamofc.datasets.kinds_choice import KINDS
from lamofc.datasets.pronoun_choice import PAIRS

SMALL = {
    "kinds_choice": {"calibration": 30, "test": 40, "commonness": 1, "examples": 2},
    "pronoun_choice": {"calibration": 8, "test": 12, "train": 8},
    "word_problems": {"calibration": 40, "test": 12, "train": 40, "examples": 1},
}
NOUNS = ["".join(s) + "t" for s in itertools.product(["ba", "co", "du", "fi", "ge"], ["la", "mo", "nu", "pi", "re"],
                                                    ["sa", "to", "vu", "zi", "ke"])]  # fmt: skip


def wordnet(folder: Path) -> Path:
    """Four nouns of each kind; the first of them has a second sense of the next kind. And people."""
    data, index = {}, {}
    for number, (noun, sense, _) in enumerate(KINDS.values()):
        index[noun] = [f"{number:08d}"] * sense
        data[f"{number:08d}"] = (noun, None)
        for i, own in enumerate(NOUNS[4 * number : 4 * number + 4]):
            offset = f"{1000 + 10 * number + i:08d}"
            data[offset] = (own, f"{number:08d}")
            index[own] = [offset] if i else [offset, f"{1000 + 10 * ((number + 1) % len(KINDS)) + 1:08d}"]
    data["00009000"], index["person"] = ("person", None), ["00009000"]
    for number, person in enumerate(p for pair in PAIRS for p in pair):
        index.setdefault(person, []).append(f"{9001 + number:08d}")
        data[f"{9001 + number:08d}"] = (person, "00009000")
    place = folder / "wordnet"
    place.mkdir(parents=True)
    (place / "data.noun").write_text("  1 licence\n" + "".join(_data_line(o, *d) for o, d in data.items()))
    lines = [f"{noun} n {len(o)} 1 @ {len(o)} 0 {' '.join(o)}  \n" for noun, o in sorted(index.items())]
    (place / "index.noun").write_text("  1 licence\n" + "".join(lines))
    return folder


def _data_line(offset: str, noun: str, above: str | None) -> str:
    pointer = f"001 @ {above} n 0000" if above else "000"
    return f"{offset} 03 n 01 {noun} 0 {pointer} | a {noun} in a gloss\n"


def names(folder: Path) -> Path:
    """Sixty names a gender, common in the United States; one rare, one of both genders, one of another country."""
    found = [("F", f"{n.capitalize()[:4]}a", "  7") for n in NOUNS] + [
        ("M", f"{n.capitalize()[:4]}k", "  7") for n in NOUNS
    ]
    found += [("F", "Rara", "  1"), ("F", "Bota", "  9"), ("M", "Bota", "  9"), ("M", "Germank", "         9")]
    lines = ["# comment", *(f"{g:<3}{n:<27}{digits}" for g, n, digits in sorted(found, key=lambda f: f[1]))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nam_dict.txt").write_text("\n".join(lines))
    return folder
