"""How does the sentence go on? The true continuation among three from elsewhere in the same book."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.datasets.choices import shuffled
from lamofc.datasets.folder import PARTS, TRAIN, DatasetFolder
from lamofc.datasets.prose import is_plain, paragraphs
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_all

DESCRIPTION = (
    "Passages of The Debian Administrator's Handbook cut inside a sentence; four continuations of equal length"
)
LICENCE = "GPL-2.0-or-later OR CC-BY-SA-3.0"
OPTIONS = {
    "calibration": 80,
    "test": 200,
    "pages": "en-US/*.html",
    "context_words": 30,  # about 35 tokens
    "continuation_words": 8,  # about 10 tokens
    "options": 4,
}


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, calibration: int, test: int,
    pages: str, context_words: int, continuation_words: int, options: int,
) -> None:  # fmt: skip
    """Fields: question, prompt, options, answer (index), page. One passage a paragraph.

    Parts come from different pages, but for the train part: it has what the pages of the calibration part hold
    beyond its passages, and their paragraphs whole.
    """
    paths = find_all(packages, pages)
    found = passages(paths, context_words, continuation_words, rng)
    sides = []
    for part, count, own in zip(PARTS, (calibration, test), _by_page(found, calibration, test, rng), strict=True):
        if len(own) < count:
            raise ConfigError(f"{pages} holds {len(own)} passages for part {part}, {count} are wanted")
        sides.append([own[i] for i in rng.permutation(len(own))])
        _ask(target, part, sides[-1][:count], sides[-1], context_words, options, rng)
    _ask(target, TRAIN, sides[0][calibration:], sides[0], context_words, options, rng)
    own_pages = {page for page, _ in sides[0]}
    for path in (p for p in paths if p.stem in own_pages):
        for number, paragraph in enumerate(paragraphs(path)):
            target.add(TRAIN, f"text-{path.stem}-{number:03d}", text=paragraph)
    target.facts["chance"] = 1 / options


def _ask(
    target: DatasetFolder, part: str, asked: list, pool: list, context: int, options: int, rng: np.random.Generator
) -> None:
    """One item a passage; its wrong options are endings of passages of `pool` from other pages."""
    for number, (page, words) in enumerate(asked):
        ends = [p[1][context:] for p in pool if p[0] != page]
        wrong = [ends[i] for i in rng.choice(len(ends), options - 1, replace=False)]
        choices, answer = shuffled([" " + " ".join(end) for end in (words[context:], *wrong)], rng)
        start, text = " ".join(words[:context]), {"text": " ".join(words)} if part == TRAIN else {}
        target.add(part, f"{part[:4]}-{number:03d}-{page}", question=f"How does this text go on?\n{start}",
                   prompt=start, page=page, options=choices, answer=answer, **text)  # fmt: skip


def passages(paths: list[Path], context: int, ending: int, rng: np.random.Generator) -> list[tuple[str, list[str]]]:
    """One passage of context + ending words out of each paragraph that is long enough, starting with a sentence.

    The cut falls inside a sentence: neither the last word of the context nor any but the last of the ending
    closes one.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for path in paths:
        for paragraph in paragraphs(path):
            places = _places(paragraph.split(), context, ending)
            if places:
                words = places[int(rng.integers(len(places)))]
                found.setdefault(" ".join(words), (path.stem, words))
    return list(found.values())


def _places(words: list[str], context: int, ending: int) -> list[list[str]]:
    starts = [i for i in range(len(words)) if i == 0 or _closes(words[i - 1])]
    windows = [words[i : i + context + ending] for i in starts]
    return [
        w for w in windows if len(w) == context + ending and is_plain(w) and not any(map(_closes, w[context - 1 : -1]))
    ]


def _closes(word: str) -> bool:
    return re.search(r"[.!?:;]['\")]*$", word) is not None


def _by_page(found: list, calibration: int, test: int, rng: np.random.Generator) -> tuple[list, list]:
    """Whole pages to one part or the other, the calibration part filled first."""
    pages = sorted({page for page, _ in found})
    sides: tuple[list, list] = [], []
    for page in (pages[i] for i in rng.permutation(len(pages))):
        own = [p for p in found if p[0] == page]
        sides[len(sides[0]) * (calibration + test) >= len(found) * calibration].extend(own)
    return sides
