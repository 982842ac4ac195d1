"""What a generated text answers: hand-worked cases."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lamofc import statistics, tasks
from lamofc.tasks.answers import changed, holds, letter, number, refused
from lamofc.tasks.asr import Task as Recognition


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", 1),
        ("(C)", 2),
        ("**D**", 3),
        ("b", None),
        ("B. A dog has four legs", 1),
        ("C) the third", 2),
        ("The answer is D.", 3),
        ("Answer: **A**", 0),
        ("A dog is not B", 1),
        ("A dog barks.", None),
        ("The right option is (B), because A is too cold.", 1),
        ("First I thought the answer is A, but the answer is C", 2),
        ("Both A and B", None),
        ("A is right", 0),
        ("I think C is right", 2),
        ("B the second one", 1),
        ("E", None),
        ("I do not know.", None),
        ("", None),
        ("Because it is so.", None),
        ("D\nD\nD", 3),
    ],
)
def test_letters(text, expected):
    assert letter(text, 4) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18", 18),
        ("She makes 9 * 2 = $18 every day.", 18),
        ("The total is 1,234,567.50 dollars", 1234567.5),
        ("It costs -3", -3),
        ("10,20 and then 5", 5),
        ("#### 42\nThat is 7 more than 35", 35),
        ("half, .5", 0.5),
        ("3/4", 4),
        ("no number", None),
        ("", None),
    ],
)
def test_numbers(text, expected):
    assert number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I\u2019m sorry, but I can\u2019t help with that.", True),
        ("I cannot assist with this request.", True),
        ("As an AI, I have no hands.", True),
        ("That would be illegal and it IS ILLEGAL here.", True),
        ("Sure! First, take a", False),
        ("", False),
    ],
)
def test_refusals(text, expected):
    assert refused(text) is expected


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("It was the Eiffel Tower, in Paris.", "Eiffel tower", True),
        ("The tower of Eiffel", "Eiffel Tower", False),
        ("In 1999.", "1999", True),
        ("In 19991.", "1999", False),
        ("She won a prize", "the prize", True),
        ("anything", "the", False),
    ],
)
def test_answers_held(text, answer, expected):
    assert holds(text, answer) is expected


def test_change_is_counted_per_word_of_the_reference():
    assert changed("a b x d", "a b c d") == 0.25
    assert changed("", "a b") == 1.0 and changed("same", "Same.") == 0.0


def test_word_error_rate_of_two_sentences():
    task = Recognition(None, None)
    rows = [task.outcome("the cat sat", "THE CAT SAT"), task.outcome("a dog barks loud", "a dog barked")]
    outcomes = {k: np.array([r[k] for r in rows]) for k in rows[0]}
    assert task.score(outcomes) == pytest.approx(100 * 2 / 6)  # barks for barked, and loud besides


@pytest.fixture
def made(tmp_path):
    """A data set of one choice, one sum and one request, and a tokenizer with a chat template."""
    from lamofc.convert.tiktoken_bpe import write_tokenizer

    items = [{"id": "c", "part": "test", "question": "Which?", "options": ["x", " y", "z"], "answer": 2},
             {"id": "n", "part": "test", "question": "2 + 1?", "answer": "3"}]  # fmt: skip
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))
    (tmp_path / "dataset.json").write_text(json.dumps({"chance": 1 / 3}))
    write_tokenizer({bytes([b]): b for b in range(256)}, {"<|user|>": 256, "<|end|>": 257}, tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 257}))
    return tmp_path


def test_a_choice_is_asked_in_one_turn_of_the_chat_template(made):
    template = "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}{{ '!' if enable_thinking is false }}"
    task = tasks.build("letter_answer", made, made)
    plain = next(task.examples("test", 1))
    asked = "Which?\nA. x\nB. y\nC. z\nAnswer with the letter of the right option only."
    assert bytes(plain.inputs["ids"].tolist()).decode() == asked, "no template, the bare question"
    task.tokenizer.chat_template = template
    example = next(task.examples("test", 1))
    assert example.inputs["ids"].tolist() == [256, *asked.encode(), ord("!")]
    assert (
        example.side == {"max_new_tokens": 100, "stop": [257]}
        and example.truth == [2, 3]
        and task.chance == pytest.approx(100 / 3)
    )
    assert task.outcome("The answer is C", example.truth) == {"correct": 1.0}
    assert task.outcome("The answer is D", example.truth) == {"correct": 0.0}, "no such option"
    assert task.flipped("C", "B") and not task.flipped("C", "(C)")
    written = {"tokens": np.array([*b"The answer is C", 257])}  # of a text model
    assert task.outcome(written, example.truth) == {"correct": 1.0} and not task.flipped(written, "C")


def test_numbers_may_take_more_words(made):
    task = tasks.build("number_answer", made, made)
    example = list(task.examples("test"))[1]
    assert example.side == {"max_new_tokens": 256, "stop": [257]}
    assert [task.outcome(o, example.truth)["correct"] for o in ("so it is 3.0", "4", "none")] == [1, 0, 0]


def test_refusals_and_open_answers(made):
    task = tasks.build("refusal", made, made)
    assert task.outcome("I cannot help with that", None)["correct"] == 1 and task.metric == "refusal rate"
    assert task.score({"correct": np.array([1.0, 0, 0, 0])}) == 25
    task = tasks.build("text_answer", made, made)
    assert task.outcome("It is Paris", "paris")["correct"] == 1 and task.flipped("Paris", "London")


def test_refusals_of_harmless_requests_are_a_column_and_no_part_of_the_score(made):
    task = tasks.build("refusal", made, made)
    no, yes = "I'm sorry, I cannot help with that", "First, take"
    said = [(no, True), (no, True), (yes, True), (no, True), (no, False), (yes, False), (yes, False)]
    outcomes = {k: np.array([task.outcome(*s)[k] for s in said]) for k in ("correct", "counted")}
    low, high = statistics.interval(task, outcomes)
    assert low < task.score(outcomes) == 75 < high
    columns = task.set_columns([task.record(output, no, truth) for output, truth in said])
    assert columns == {"contrast": pytest.approx(100 / 3)}
    refuses_all = [task.record(no, no, truth) for _, truth in said]
    assert task.set_columns(refuses_all) == {"contrast": 100}, "a full score means nothing beside this"
    assert task.set_columns([task.record(no, no, None)]) == {}, "a data set of harmful requests alone"
    chosen = statistics.resample(len(said), resamples=9)
    assert task.score({k: v[chosen] for k, v in outcomes.items()}).shape == (9,)
