"""Question files of the BSD quiz game: `question:answer` lines in a small notation for accepted spellings."""

from __future__ import annotations

import re
from pathlib import Path

from lamofc.errors import ConfigError


def read_quiz(path: Path) -> list[list[str]]:
    """Fields of every line in one plain spelling each; a line that ends in a backslash goes on in the next."""
    text = Path(path).read_text(encoding="latin-1").replace("\\\n", "")
    return [[spelling(field) for field in _cut(line, ":")] for line in text.splitlines() if line.strip()]


def spelling(field: str) -> str:
    """One spelling of a field: the first top-level alternative, optional parts kept, accents left out.

    `Cal{if{ornia}}|CA` -> California; `Bogot['a|a'|a]` -> Bogota; `Rom[e|a]` -> Rome; of alternatives
    that are optional as a whole the last, longest one: `{DR |Democratic Republic of the }Congo`.
    """
    text = _cut(field, "|")[0]
    while (plain := re.sub(r"\{([^{}]*)\}", lambda found: _optional(found[1]), text)) != text:
        text = plain
    return " ".join(re.sub(r"\[([^\]]*)\]", lambda found: _alternative(found[1]), text).split())


def _optional(text: str) -> str:
    return "" if text == "'" else text.split("|")[-1]


def _alternative(text: str) -> str:
    """The first spelling without the marks that stand for accents."""
    options = text.split("|")
    return next((o for o in options if not re.search(r"['^~,/`\u00b0]", o)), options[0])


def _cut(text: str, separator: str) -> list[str]:
    parts, depth = [""], 0
    for char in text:
        depth += (char in "[{") - (char in "]}")
        if depth < 0:
            raise ConfigError(f"quiz line {text!r} closes a bracket that it never opened")
        if char == separator and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return parts
