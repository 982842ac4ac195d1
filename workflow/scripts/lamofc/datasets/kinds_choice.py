"""Is this true? One true statement of what kind of thing something is, among false ones that are as common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamofc.datasets.choices import shuffled
from lamofc.datasets.folder import PARTS, TRAIN, DatasetFolder
from lamofc.datasets.wordnet import Nouns
from lamofc.errors import ConfigError

DESCRIPTION = "What kind of thing is it? WordNet nouns: solved examples, a statement to finish, one true of four"
LICENCE = "LicenseRef-WordNet-3.0"
OPTIONS = {
    "calibration": 60,
    "test": 240,
    "examples": 3,
    "options": 4,
    "near": 2,  # wrong options out of the same group of kinds
    "senses": 4,  # nouns with more are left out
    "commonness": 3,  # occurrences in WordNet's glosses: rarer words are left out
    "letters": [3, 10],
}

# Kind as it is said -> (noun, number of its sense, article of its members)
KINDS = {
    "bird": ("bird", 1, True), "fish": ("fish", 1, True), "insect": ("insect", 1, True),
    "mammal": ("mammal", 1, True), "reptile": ("reptile", 1, True), "tree": ("tree", 1, True),
    "flower": ("flower", 1, True), "vegetable": ("vegetable", 1, True), "fruit": ("fruit", 1, True),
    "vehicle": ("vehicle", 1, True), "tool": ("tool", 1, True), "weapon": ("weapon", 1, True),
    "musical instrument": ("musical_instrument", 1, True), "building": ("building", 1, True),
    "clothing": ("garment", 1, True), "furniture": ("furniture", 1, True), "disease": ("disease", 1, False),
    "metal": ("metal", 1, False), "color": ("color", 1, False), "sport": ("sport", 1, False),
    "drink": ("drink", 3, False), "feeling": ("emotion", 1, False), "cloth": ("fabric", 1, False),
    "relative": ("relative", 1, True), "musician": ("musician", 1, True), "scientist": ("scientist", 1, True),
}  # fmt: skip
GROUPS = (
    ("bird", "fish", "insect", "mammal", "reptile"),
    ("tree", "flower", "vegetable", "fruit", "drink"),
    ("vehicle", "tool", "weapon", "musical instrument", "building", "furniture", "clothing", "cloth", "metal"),
    ("disease", "color", "sport", "feeling"),
    ("relative", "musician", "scientist"),
)

STATEMENTS = ("{} was the {} they chose.", "{}, what a nice {}!", "{} may be the {} of the year.")


class Thing(NamedTuple):
    noun: str
    kind: str
    possible: frozenset[str]  # kinds that some sense of the noun is of: none of them is a false answer

    @property
    def named(self) -> str:
        if not KINDS[self.kind][2]:
            return self.noun.capitalize()
        return f"{'An' if self.noun[0] in 'aeiou' else 'A'} {self.noun}"


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, calibration: int, test: int,
    examples: int, options: int, near: int, senses: int, commonness: int, letters: list[int],
) -> None:  # fmt: skip
    """Fields: question, prompt, options, answer (index), noun. Examples are of other kinds than the one asked for.

    The train part asks about its own nouns and states what nouns of all parts are, in other words.
    """
    things = find_things(Nouns(packages), commonness, letters, senses)
    if len(things) < calibration + test:
        raise ConfigError(f"WordNet gives {len(things)} nouns, {calibration + test} are wanted")
    order = [things[i] for i in rng.permutation(len(things))]
    pool, asked, rest = order[:calibration], order[calibration : calibration + test], order[calibration + test :]
    for part, own in zip((*PARTS, TRAIN), (pool, asked, rest), strict=True):
        for thing in own:
            shown = _examples(pool if part != TRAIN else rest, thing, examples, rng)
            choices, answer = shuffled([thing.kind, *_wrong(thing, options - 1, near, rng)], rng)
            start = prompt(shown, thing)
            text = {"text": f"{start} {thing.kind}."} if part == TRAIN else {}
            target.add(part, f"{part[:5]}-{thing.noun}", noun=thing.noun, prompt=start,
                       question=f"What is true? {thing.named} is a kind of ...",
                       options=[f" {c}" for c in choices], answer=answer, **text)  # fmt: skip
    for thing in order:
        for number, form in enumerate(STATEMENTS):
            target.add(TRAIN, f"fact{number}-{thing.noun}", text=form.format(thing.named, thing.kind))
    target.facts["chance"] = 1 / options


def prompt(examples: list[Thing], asked: Thing) -> str:
    """Solved lines, then the statement as an unfinished line; options start with a space."""
    return "".join(f"{t.named} is a kind of {t.kind}.\n" for t in examples) + f"{asked.named} is a kind of"


def find_things(nouns: Nouns, commonness: int, letters: list[int], most_senses: int) -> list[Thing]:
    """Common nouns whose first sense is of exactly one of the kinds."""
    tops = {nouns.senses[noun][number - 1]: kind for kind, (noun, number, _) in KINDS.items()}
    found = []
    for noun, senses in sorted(nouns.senses.items()):
        fits = letters[0] <= len(noun) <= letters[1] and len(senses) <= most_senses
        if nouns.commonness[noun] < commonness or not fits:
            continue
        kinds = [{tops[above] for above in nouns.kinds_of(sense) if above in tops} for sense in senses]
        named_as = {name for kind, (name, *_) in KINDS.items()} | set(KINDS)
        if len(kinds[0]) == 1 and noun in nouns.written[senses[0]] and noun not in named_as:
            found.append(Thing(noun, *kinds[0], frozenset().union(*kinds)))
    return found


def _wrong(thing: Thing, count: int, near: int, rng: np.random.Generator) -> list[str]:
    """Kinds that the thing is not, `near` of them like the one it is where there are so many."""
    group = next(g for g in GROUPS if thing.kind in g)
    close = [k for k in group if k not in thing.possible]
    chosen = [close[i] for i in rng.permutation(len(close))[:near]]
    others = [k for k in KINDS if k not in thing.possible and k not in chosen]
    return chosen + [others[i] for i in rng.choice(len(others), count - len(chosen), replace=False)]


def _examples(pool: list[Thing], asked: Thing, count: int, rng: np.random.Generator) -> list[Thing]:
    """One thing each of `count` kinds, none of them a kind of the thing asked for."""
    by_kind = defaultdict(list)
    for thing in pool:
        if thing.kind not in asked.possible:
            by_kind[thing.kind].append(thing)
    kinds = sorted(by_kind)
    chosen = [kinds[i] for i in rng.choice(len(kinds), count, replace=False)]
    return [by_kind[k][int(rng.integers(len(by_kind[k])))] for k in chosen]
