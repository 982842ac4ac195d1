"""First names and who bears them, from the dictionary nam_dict.txt: gender and how common in each country."""

from __future__ import annotations

from pathlib import Path

UNITED_STATES = 32  # column of the frequency, a hexadecimal digit on a logarithmic scale; blank = not used


def read_names(path: Path, least: int) -> dict[str, list[str]]:
    """{"woman", "man"} -> names borne by that gender alone and at least that common in the United States."""
    found: dict[str, list[str]] = {"woman": [], "man": []}
    genders = {"F": "woman", "M": "man"}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        gender, name = line[:3].strip(), line[3:29].strip()
        if gender in genders and name.isascii() and name.isalpha() and _digit(line) >= least:
            found[genders[gender]].append(name)
    both = set(found["woman"]) & set(found["man"])
    return {gender: sorted(set(names) - both) for gender, names in found.items()}


def _digit(line: str) -> int:
    digit = line[UNITED_STATES : UNITED_STATES + 1].strip()
    return int(digit, 16) if digit else 0
