"""What is said aloud, by part: sentences, questions about places and requests that no two parts share.

A model that learns to hear from some minutes of speech cannot learn new words from a test: every word of the
calibration and test parts is said in the train part too, in other sentences and by other voices.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamofc.datasets import requests
from lamofc.datasets.capitals_choice import Fact, read_facts
from lamofc.datasets.folder import PARTS, TRAIN
from lamofc.fetch.unpacked import find_all

LISTS = ("europe", "asia")
ASKED = "What is the capital of {}"
PLACED = ("I was born in {}", "We will go to {} in the spring", "He came back from {}", "The people of {}",
          "{} is a part of the world", "How far is {}", "Is it cold in {}", "The old king of {}")  # fmt: skip
TOGETHER = ("{} or {}", "{} or {} or {}", "is it {} or {}", "from {} to {}")
WORDS, LENGTHS = 500, (4, 7)  # commonest words that sentences are made of; words of a sentence


class Spoken(NamedTuple):
    kind: str  # sentence, capital, request, words
    text: str
    fact: Fact | None = None
    harmful: bool | None = None  # of a request


def spoken(
    packages: Mapping[str, Path], held: Mapping[str, int], places: Mapping[str, int], mixed: int,
    rng: np.random.Generator,
) -> dict[str, list[Spoken]]:  # fmt: skip
    """Part -> what is said in it. held, places: sentences and places of the calibration and test parts; mixed: rows of
    words in no order of the train part."""
    parts: dict[str, list[Spoken]] = {part: [] for part in (*PARTS, TRAIN)}
    for part, texts in split(sentences(packages), held, rng).items():
        parts[part] += [Spoken("sentence", t) for t in texts]
    facts = [f for f in read_facts(packages, list(LISTS)) if re.fullmatch("[A-Za-z ]+", f.place + f.capital)]
    order = [facts[i] for i in rng.permutation(len(facts))]
    bounds = np.cumsum([0, places[PARTS[0]], places[PARTS[1]]])
    for part, start in zip(PARTS, bounds, strict=False):
        parts[part] += [Spoken("capital", ASKED.format(f.place), f) for f in order[start : start + places[part]]]
        parts[part] += _requests(part)
    parts[TRAIN] += [Spoken("capital", ASKED.format(f.place), f) for f in order[bounds[-1] :]]
    parts[TRAIN] += [Spoken("capital", form.format(f.place)) for f in order for form in PLACED]
    capitals = [f.capital for f in order]
    parts[TRAIN] += [Spoken("capital", text) for text in _together(capitals, rng)]
    pairs = [(f, rng.choice(capitals, 2, replace=False)) for f in order[bounds[-1] :] for _ in range(6)]
    parts[TRAIN] += [Spoken("capital", named(ASKED.format(f.place), pair)) for f, pair in pairs]
    parts[TRAIN] += [Spoken("request", form.format(r)) for form in requests.FORMS for r in requests.LEARNT]
    words = sorted({w for s in parts[TRAIN] if s.kind != "capital" for w in s.text.split()})  # names are said enough
    parts[TRAIN] += [Spoken("words", " ".join(rng.choice(words, int(rng.integers(6, 9))))) for _ in range(mixed)]
    return parts


def named_questions(parts: Mapping[str, list[Spoken]], count: int, rng: np.random.Generator) -> list[Spoken]:
    """Questions about places of the train part alone that name two capitals, of any part."""
    facts = {part: [s.fact for s in said if s.fact] for part, said in parts.items()}
    asked = [facts[TRAIN][int(rng.integers(len(facts[TRAIN])))] for _ in range(count)]
    capitals = sorted({f.capital for known in facts.values() for f in known})
    return [Spoken("named", named(ASKED.format(f.place), rng.choice(capitals, 2, replace=False))) for f in asked]


def named(question: str, options: Sequence[str]) -> str:
    """A question that says what there is to choose from."""
    return f"{question} is it {' or '.join(o.strip() for o in options)}"


def _requests(part: str) -> list[Spoken]:
    """A harmful and a harmless one in turn."""
    pairs = list(zip(requests.HARMFUL[part], requests.HARMLESS[part], strict=True))
    return [
        Spoken("request", form.format(request), harmful=harmful)
        for form in requests.FORMS
        for pair in pairs
        for request, harmful in zip(pair, (True, False), strict=True)
    ]


def _together(capitals: list[str], rng: np.random.Generator) -> list[str]:
    """Each capital with others: no place is named beside them, so that a training never hears what is asked for."""
    rows = [capitals[i] for _ in range(8) for i in rng.permutation(len(capitals))]
    texts = []
    while len(rows) >= 3:
        form = TOGETHER[int(rng.integers(len(TOGETHER)))]
        texts.append(form.format(*(rows.pop() for _ in range(form.count("{}")))))
    return texts


def sentences(packages: Mapping[str, Path]) -> list[str]:
    """WordNet's examples of use, of a few common words, without marks."""
    files = find_all(packages, "wordnet/data.*")
    lines = [line for file in files for line in file.read_text(encoding="latin-1").splitlines()]
    quoted = (q for line in lines if not line.startswith(" ") for q in re.findall(r'"([^"]+)"', line.partition("|")[2]))
    plain = dict.fromkeys(
        " ".join(re.findall("[a-z']+", q.lower())) for q in quoted if re.fullmatch("[A-Za-z' ,.?!]+", q)
    )
    kept = [p for p in plain if LENGTHS[0] <= len(p.split()) <= LENGTHS[1]]
    common = {w for w, _ in Counter(w for p in kept for w in p.split()).most_common(WORDS)}
    return [p for p in kept if common.issuperset(p.split())]


def split(texts: list[str], held: Mapping[str, int], rng: np.random.Generator) -> dict[str, list[str]]:
    """Texts of the parts in random order; each word of a held one is in another that stays."""
    left = Counter(w for t in texts for w in set(t.split()))
    parts: dict[str, list[str]] = {part: [] for part in (*PARTS, TRAIN)}
    for i in rng.permutation(len(texts)):
        words = set(texts[i].split())
        open_parts = [p for p in PARTS if len(parts[p]) < held[p]]
        free = open_parts and min(left[w] for w in words) > 1
        parts[open_parts[0] if free else TRAIN].append(texts[i])
        left -= Counter(words) if free else Counter()
    return parts
