"""Data sets for language models: true answers, shuffled options, parts that share nothing that is asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from language_packages import SMALL, names, wordnet

from lamofc.datasets import build, continuation_choice, word_problems
from lamofc.datasets.first_names import read_names
from lamofc.datasets.kinds_choice import GROUPS, KINDS, find_things
from lamofc.datasets.pronoun_choice import PAIRS
from lamofc.datasets.wordnet import Nouns
from lamofc.errors import ConfigError

ROOT = Path(__file__).parents[1]
KEYS = {"kinds-choice": "noun", "pronoun-choice": "scene", "word-problems": "numbers", "capitals-choice": "place"}


@pytest.fixture
def package(tmp_path) -> Path:
    return names(wordnet(tmp_path / "package"))


def of_part(folder: Path, part: str) -> list[dict]:
    found = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    return [item for item in found if item["part"] == part]


def made(builder: str, package: Path, tmp_path: Path) -> Path:
    return build(builder, {"p": package}, tmp_path / builder, SMALL[builder], 3)


def test_every_kind_has_a_group():
    assert sorted(k for g in GROUPS for k in g) == sorted(KINDS)


def test_kinds_are_true_and_no_sense_makes_a_wrong_option_right(package, tmp_path):
    things = {t.noun: t for t in find_things(Nouns({"p": package}), 1, [3, 10], 4)}
    assert len(things) == 4 * len(KINDS) and sum(len(t.possible) == 2 for t in things.values()) == len(KINDS)
    out = made("kinds_choice", package, tmp_path)
    for item in of_part(out, "test"):
        thing, options = things[item["noun"]], [o.strip() for o in item["options"]]
        assert options[item["answer"]] == thing.kind and len(set(options)) == 4
        assert not thing.possible & set(options[: item["answer"]] + options[item["answer"] + 1 :])
        *shown, asked = item["prompt"].split("\n")
        assert asked == f"{thing.named} is a kind of" and len(shown) == 2
    assert len({i["answer"] for i in of_part(out, "test")}) == 4


def test_pronouns_decide_and_constant_answers_do_not(package, tmp_path):
    pronoun_of = {p: pronoun for pair in PAIRS for p, pronoun in zip(pair, ("she", "he"), strict=True)}
    out = made("pronoun_choice", package, tmp_path)
    meant = Counter()
    for item in of_part(out, "test"):
        right = item["options"][item["answer"]].removeprefix(" the ")
        pronoun = re.search(r" because (he|she) ", item["scene"])[1]
        assert pronoun == pronoun_of[right] and len({pronoun_of[o.removeprefix(" the ")] for o in item["options"]}) == 2
        meant[item["scene"].startswith(f"The {right} "), pronoun] += 1
    assert set(meant.values()) == {3}, "pronoun and place of the one meant are balanced"
    people = {p: {o for i in of_part(out, p) for o in i.get("options", ())} for p in ("calibration", "test", "train")}
    assert not people["test"] & (people["calibration"] | people["train"])


def test_names_are_of_one_gender_and_common(package):
    found = read_names(package / "nam_dict.txt", 6)
    assert not {"Bota", "Rara", "Germank"} & {n for own in found.values() for n in own}
    assert all(n.endswith({"woman": "a", "man": "k"}[g]) for g, own in found.items() for n in own)


def test_word_problems_have_the_answers_they_work_out(package, tmp_path):
    out = made("word_problems", package, tmp_path)
    for item in of_part(out, "test") + of_part(out, "train"):
        if "numbers" not in item:
            left, right = item["text"].replace("x", "*").split(" = ")
            assert eval(left, {"__builtins__": {}}) == int(right)
            continue
        assert eval(item["numbers"], {"__builtins__": {}}) == item["answer"] >= 0
        assert sorted(re.findall(r"\d+", item["question"])) == sorted(re.findall(r"\d+", item["numbers"]))
        assert item["prompt"].endswith(f"Question: {item['question']}\nAnswer:")
    assert len(word_problems.all_problems()) == len(set(word_problems.all_problems()))


@pytest.mark.parametrize("builder", sorted(SMALL))
def test_what_is_asked_in_test_is_asked_nowhere_else(builder, package, tmp_path):
    out = made(builder, package, tmp_path)
    assert_disjoint(out, KEYS[builder.replace("_", "-")])


def assert_disjoint(folder: Path, key: str):
    parts = {part: {i[key] for i in of_part(folder, part) if key in i} for part in ("calibration", "test", "train")}
    assert all(parts.values()) and not parts["test"] & (parts["calibration"] | parts["train"])
    questions = {i["question"] for i in of_part(folder, "test")}
    prompts = [i["prompt"].split("\n")[-1 if "choice" in folder.name else -2] for i in of_part(folder, "test")]
    for item in of_part(folder, "train"):
        assert "text" in item and not any(q in item["text"] for q in (*questions, *prompts))


@pytest.mark.resources
@pytest.mark.parametrize("name", sorted(KEYS))
def test_built_sets_ask_nothing_of_test_elsewhere(name):
    folder = ROOT / "resources/data" / name
    if not folder.exists():
        pytest.skip(f"{folder} is not there: build it first")
    assert_disjoint(folder, KEYS[name])
    facts = json.loads((folder / "dataset.json").read_text())
    assert facts["counts"]["test"] >= 140 and facts["counts"]["train"] >= 300


def test_too_few_names_or_nouns_are_refused(package, tmp_path):
    with pytest.raises(ConfigError, match="names"):
        build("word_problems", {"p": package}, tmp_path / "out", {"commonness": 13})
    with pytest.raises(ConfigError, match="nouns"):
        build("kinds_choice", {"p": package}, tmp_path / "out", {"test": 1000, "commonness": 1})
    assert not (tmp_path / "out").exists()


def test_the_train_part_of_the_book_is_of_other_pages_than_test(tmp_path):
    for page in range(8):
        text = "".join(
            f"<p>{' '.join(f'{w}{page_letter(page)}' for w in 'abcdefghijklmnopqrst')}.</p>" for _ in range(1)
        )
        more = "".join(
            f"<p>{' '.join(f'{w}{x}{page_letter(page)}' for w in 'abcdefghijklmnopqrst')}.</p>" for x in "uvwxy"
        )
        (tmp_path / f"page{page}.html").write_text(f"<html><body>{text}{more}</body></html>")
    options = {"pages": "page*.html", "context_words": 6, "continuation_words": 3, "calibration": 4, "test": 12}
    out = build("continuation_choice", {"b": tmp_path}, tmp_path / "out", options, 3)
    letters = {part: {i["prompt"].split()[0][-1] for i in of_part(out, part) if "prompt" in i}
               for part in ("calibration", "test", "train")}  # fmt: skip
    assert letters["train"] <= letters["calibration"] and not letters["train"] & letters["test"]
    texts = {i["text"].split()[0][-1] for i in of_part(out, "train") if "prompt" not in i}
    assert texts and not texts & letters["test"]
    assert continuation_choice.OPTIONS["test"] >= 150


def page_letter(page: int) -> str:
    return "ABCDEFGH"[page].lower()
