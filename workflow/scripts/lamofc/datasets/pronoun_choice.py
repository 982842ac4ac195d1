"""Who is meant by the pronoun? A woman and a man, a sentence with `she` or `he`, and two answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamofc.datasets.folder import PARTS, TRAIN, DatasetFolder
from lamofc.datasets.wordnet import Nouns
from lamofc.errors import ConfigError

DESCRIPTION = "A pronoun and the two people it may stand for: a sentence of our own, a statement to finish"
LICENCE = "LicenseRef-WordNet-3.0"
OPTIONS = {"calibration": 60, "test": 240, "train": 3000}

PAIRS = (
    ("woman", "man"), ("girl", "boy"), ("mother", "father"), ("wife", "husband"), ("sister", "brother"),
    ("daughter", "son"), ("aunt", "uncle"), ("queen", "king"), ("princess", "prince"), ("lady", "gentleman"),
    ("actress", "actor"), ("waitress", "waiter"), ("grandmother", "grandfather"), ("niece", "nephew"),
    ("nun", "monk"), ("bride", "bridegroom"), ("duchess", "duke"), ("widow", "widower"), ("girlfriend", "boyfriend"),
    ("countess", "count"), ("granddaughter", "grandson"), ("heroine", "hero"),
)  # fmt: skip
SHARES = (4, 10)  # pairs of calibration and test; the rest are of the train part

DEEDS = (
    "met {other} at the station", "called {other}", "waited for {other}", "sat next to {other}", "wrote to {other}",
    "walked home with {other}", "talked to {other} after lunch", "went to the market with {other}",
    "had dinner with {other}", "worked with {other}", "saw {other} in the park", "played chess with {other}",
)  # fmt: skip
STATES = (
    "was tired", "was late", "was hungry", "felt lonely", "had lost a key", "needed some help", "wanted to talk",
    "had a new job", "was very happy", "had bought a car", "liked the music", "was going to move", "had no money",
    "felt ill", "was angry", "knew the way",
)  # fmt: skip

STATEMENTS = (
    "There was a {person}, and {pronoun} was here.", "The {person} said that {pronoun} was at home.",
    "Today {pronoun} came, the {person}.", "Because {pronoun} was old, the {person} slept.",
)  # fmt: skip


class Scene(NamedTuple):
    first: str
    second: str
    pronoun: str
    meant: str
    deed: str
    state: str

    @property
    def sentence(self) -> str:
        return f"The {self.first} {self.deed.format(other=f'the {self.second}')} because {self.pronoun} {self.state}."

    @property
    def start(self) -> str:
        return f"{self.sentence} {self.pronoun.capitalize()} is"


def build(
    packages: Mapping[str, Path], target: DatasetFolder, rng: np.random.Generator, calibration: int, test: int,
    train: int,
) -> None:  # fmt: skip
    """Fields: question, prompt, options, answer (index), scene. No pair is in two parts; WordNet knows all people.

    Who is meant is a woman or a man, named first or second, in equal numbers: a constant answer is right half the
    time. The train part tells of the people of all parts in other words.
    """
    check_people(Nouns(packages))
    counts = {"calibration": calibration, "test": test, TRAIN: train}
    for part, own in zip((*PARTS, TRAIN), _shares(rng), strict=True):
        for number, scene in enumerate(_scenes(own, counts[part], rng)):
            choices = [scene.first, scene.second] if rng.integers(2) else [scene.second, scene.first]
            text = {"text": f"{scene.start} the {scene.meant}."} if part == TRAIN else {}
            target.add(part, f"{part[:5]}-{number:04d}", scene=scene.sentence, prompt=scene.start,
                       question=f"{scene.sentence} Who {scene.state}?", options=[f" the {c}" for c in choices],
                       answer=choices.index(scene.meant), **text)  # fmt: skip
    for pair in PAIRS:
        for person, pronoun in zip(pair, ("she", "he"), strict=True):
            for number, form in enumerate(STATEMENTS):
                target.add(TRAIN, f"fact{number}-{person}", text=form.format(person=person, pronoun=pronoun))
    target.facts["chance"] = 0.5


def check_people(nouns: Nouns) -> None:
    """ConfigError unless every noun has a sense that is a kind of person in WordNet."""
    person = nouns.senses["person"][0]
    for noun in (n for pair in PAIRS for n in pair):
        if not any(person in nouns.kinds_of(sense) for sense in nouns.senses.get(noun, ())):
            raise ConfigError(f"{noun} is no person in WordNet; take it out of PAIRS")


def _shares(rng: np.random.Generator) -> list[list[tuple[str, str]]]:
    """Each part's own pairs."""
    mixed = [PAIRS[i] for i in rng.permutation(len(PAIRS))]
    return [mixed[: SHARES[0]], mixed[SHARES[0] : sum(SHARES)], mixed[sum(SHARES) :]]


def _scenes(pairs: list[tuple[str, str]], count: int, rng: np.random.Generator) -> list[Scene]:
    """Scenes that differ; gender and place of the one meant go round."""
    found: dict[str, Scene] = {}
    while len(found) < count:
        woman, man = pairs[int(rng.integers(len(pairs)))]
        meant, pronoun = ((woman, "she"), (man, "he"))[len(found) % 2]
        first, second = (woman, man) if len(found) // 2 % 2 == len(found) % 2 else (man, woman)
        deed, state = (several[int(rng.integers(len(several)))] for several in (DEEDS, STATES))
        scene = Scene(first, second, pronoun, meant, deed, state)
        found.setdefault(scene.sentence, scene)
    return list(found.values())
