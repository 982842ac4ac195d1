"""Synthesised speech: parts that share nothing but words, the same bytes again, and what beside the sound is."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from lamofc import datasets
from lamofc.datasets import asterisk_prompts, asterisk_speech, requests, speakable, synthesised_speech
from lamofc.speech import voices
from lamofc.tasks import items

ROOT = Path(__file__).parents[1]
PACKAGES = ("espeakng", "flite", "wordnet-examples", "bsdgames")


def test_no_voice_and_no_request_is_in_two_parts():
    for a, b in itertools.combinations(voices.VOICES.values(), 2):
        assert not set(a[0]) & set(b[0]) and not set(a[1]) & set(b[1])
    for a, b in itertools.combinations(requests.ALL.values(), 2):
        assert not set(a) & set(b)
    learnt = {w for r in requests.LEARNT for w in r.split()}
    assert not {w for part in ("calibration", "test") for r in requests.ALL[part] for w in r.split()} - learnt


def test_a_harmful_and_a_harmless_request_are_asked_in_turn():
    for part in ("calibration", "test"):
        asked = speakable._requests(part)
        ordered = synthesised_speech._ordered(asked, np.random.default_rng(0))
        assert sorted(ordered) == sorted(asked) and ordered != asked
        assert [r.harmful for r in ordered] == [True, False] * (len(asked) // 2)
        assert Counter(r.text.rsplit(" ", 1)[-1] for r in asked if r.harmful).keys() & {
            r.text.rsplit(" ", 1)[-1] for r in asked if not r.harmful
        }, "about the same things"


def test_words_of_held_sentences_stay_in_others():
    rng = np.random.default_rng(0)
    texts = [*dict.fromkeys(" ".join(rng.choice(list("abcdefgh"), 4)) for _ in range(60)), "x y z a"]
    parts = speakable.split(texts, {"calibration": 8, "test": 8}, rng)
    assert Counter(t for part in parts.values() for t in part) == Counter(texts)
    assert len(parts["calibration"]) == len(parts["test"]) == 8
    words = {w for t in parts["train"] for w in t.split()}
    assert all(words.issuperset(t.split()) for p in ("calibration", "test") for t in parts[p])


def test_what_stands_beside_a_sound():
    assert items.beside({}) == {"text": ""}
    assert items.beside({"question": "?", "before": "", "start": "It is"}) == {"text": "?", "start": "It is"}


def fetched(*names):
    packages = {name: ROOT / "resources/packages" / name for name in names}
    if missing := [name for name, folder in packages.items() if not folder.is_dir()]:
        pytest.skip(f"not fetched: {', '.join(missing)}")
    return packages


@pytest.mark.resources
def test_nothing_that_is_scored_is_said_in_what_a_training_hears():
    """Of the data sets as configured: sentences, requests, places asked for, and the prompts of a person."""
    rows = yaml.safe_load((ROOT / "config/datasets.yaml").read_text())
    spoken = [row for row in rows.values() if row["builder"] == "synthesised_speech"]
    assert {row["seed"] for row in spoken} == {7}, "seeds part what is said"
    assert not {"held", "places", "mixed"} & {key for row in spoken for key in row["options"]}
    packages = fetched(*PACKAGES, "asterisk-core-sounds-en")
    rng, defaults = np.random.default_rng(7), synthesised_speech.OPTIONS
    parts = speakable.spoken(packages, defaults["held"], defaults["places"], defaults["mixed"], rng)
    learnt = [s.text for s in parts["train"] + speakable.named_questions(parts, 500, rng)]
    learnt += [asterisk_prompts.said(p.text) for p in asterisk_speech.read_prompts(packages, 1, 3.8)]
    assert len(learnt) > 5000 and "goodbye" in learnt
    held = [s for part in ("calibration", "test") for s in parts[part]]
    assert not {s.text.lower() for s in held} & {text.lower() for text in learnt}
    asked = {text.split(" is it ")[0] for text in learnt if text.startswith("What is the capital of")}
    assert len(asked) > 20 and not asked & {s.text for s in held}
    assert max(Counter(t for t in learnt if " is it " in t).values()) < 5


@pytest.mark.resources
def test_parts_share_words_alone(tmp_path):
    packages = fetched(*PACKAGES)
    few = {"calibration": 4, "test": 4}
    options = {"kind": "capital", "truth": "options", "options": 2, "named": True, "held": few, "places": few,
               "train": 200}  # fmt: skip
    for name in ("once", "again"):
        datasets.build("synthesised_speech", packages, tmp_path / name, options, seed=7)
    once, again = ((tmp_path / name / "items.jsonl").read_bytes() for name in ("once", "again"))
    assert once == again
    found = [json.loads(line) for line in once.decode().splitlines()]
    by_part = {part: [i for i in found if i["part"] == part] for part in ("calibration", "test", "train")}
    for a, b in itertools.combinations(by_part.values(), 2):
        assert not {i["said"] for i in a} & {i["said"] for i in b}
        assert not {i["voice"]["voice"] for i in a} & {i["voice"]["voice"] for i in b}
    for item in by_part["test"]:
        assert len(set(item["options"])) == 2 and item["said"].endswith(
            " is it {} or {}".format(*map(str.strip, item["options"]))
        )
    places = [{i["said"].split(" is it ")[0] for i in by_part[part]} for part in ("test", "train")]
    assert len(places[0]) == len(by_part["test"]) and not set.intersection(*places)
    for item in by_part["test"][:3]:
        sound = [items.audio(tmp_path / name / item["audio"]) for name in ("once", "again")]
        assert np.array_equal(*sound) and 0.3 < np.abs(sound[0]).max() < 0.7
