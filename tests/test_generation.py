"""Greedy answers: cut at stop tokens, extracted as stated, equal on both sides of a split, over decoded caches."""

from __future__ import annotations

import json
from pathlib import Path

import answers
import numpy as np
import pytest
import torch

from lamofc import models
from lamofc.models.decoding import KEPT, greedy, kind
from lamofc.tasks import letter, measures, number
from lamofc.tasks.divergence import divergence, stepwise_divergence


def test_greedy_stops_where_told_and_keeps_the_likeliest():
    """A chain 0 -> 1 -> 2 -> ...: each step's likeliest token is the successor."""

    def logits(ids):
        return torch.log_softmax(torch.eye(40)[(ids + 1) % 40] * 5, -1)

    def step(ids):
        return logits(ids[:, 0])

    side = [{"max_new_tokens": 6, "stop": [3]}, {"max_new_tokens": 6, "stop": [9, 39]}]
    first, second = greedy(logits(torch.tensor([0, 7])), step, side)
    assert first["tokens"].tolist() == [1, 2, 3] and second["tokens"].tolist() == [8, 9]
    (whole,) = greedy(logits(torch.tensor([0])), step, [{"max_new_tokens": 4, "stop": []}])
    assert whole["tokens"].tolist() == [1, 2, 3, 4] and whole["candidates"].shape == (4, KEPT)
    assert whole["candidates"][:, 0].tolist() == [1, 2, 3, 4] and (np.diff(whole["logprobs"], axis=1) <= 0).all()
    assert kind(side[0]) == ("greedy", 6) and kind({"options": [[1], [2]]}) == ("options", 2)


@pytest.mark.parametrize(("text", "found"), [
    (" 3 + 4 = 7", "7"), ("The answer is 1,234.", "1234"), ("7.0 apples", "7"), ("-3", "-3"), ("2.50", "2.5"),
    ("5 - 8 = -3\n\nQuestion: 9", "-3"), ("none", None), ("", None), ("v2 has 12 cards", "12"), ("12-4", "4"),
])  # fmt: skip
def test_numbers_are_found(text, found):
    assert number.Task.extract(None, text) == found


@pytest.mark.parametrize(("text", "found"), [
    ("B", "B"), (" C. Rome", "C"), ("(D)", "D"), ("The answer is A", "A"), ("Rome", None), ("b", None), ("", None),
    ("Answer: Z", None),
])  # fmt: skip
def test_letters_are_found(text, found):
    assert letter.Task.extract(None, text) == found


def steps(tokens, logprobs):
    rows = np.array(logprobs, np.float32)
    return {
        "tokens": np.array(tokens),
        "logprobs": rows,
        "candidates": np.tile(np.arange(rows.shape[1]), (len(rows), 1)),
    }


def test_damage_is_zero_for_equal_outputs_grows_and_ignores_what_follows_the_parting():
    a, b, far = np.log([0.6, 0.3]), np.log([0.5, 0.4]), np.log([0.05, 0.9])
    reference = steps([0, 0, 0], [a, a, a])
    assert stepwise_divergence(reference, reference) == 0
    slight, strong = (stepwise_divergence(steps([0, 0, 0], [x, x, x]), reference) for x in (b, far))
    assert 0 < slight < strong
    by_hand = 0.6 * np.log(0.6 / 0.5) + 0.3 * np.log(0.3 / 0.4)
    assert slight == pytest.approx(by_hand, rel=1e-4)
    early, late = steps([1, 5], [far, far]), steps([0, 0, 1], [b, b, far])
    assert (
        stepwise_divergence(early, reference) == pytest.approx(strong) and stepwise_divergence(late, reference) < strong
    )


def test_numbers_that_are_not_finite_say_nothing_and_are_not_called_undamaged():
    reference = np.log([0.7, 0.2, 0.1])
    broken = divergence(np.full(3, np.nan), reference)
    assert broken == pytest.approx(divergence(np.zeros(3), reference)) and broken > 0.1
    written = steps([0], [np.log([0.9, 0.05])])
    assert stepwise_divergence(steps([0], [[np.nan, np.nan]]), written) > 0.1


def test_a_candidate_the_output_does_not_hold_counts_as_its_last():
    reference = {"tokens": np.array([1]), "candidates": np.array([[1, 2]]), "logprobs": np.log([[0.7, 0.2]])}
    output = {"tokens": np.array([1]), "candidates": np.array([[1, 9]]), "logprobs": np.log([[0.7, 0.1]])}
    assert stepwise_divergence(output, reference) > 0


class Characters:
    """A tokenizer of single characters, with or without a chat template."""

    eos_token_id = 0

    def __init__(self, template: bool) -> None:
        self.chat_template = "yes" if template else None

    def __call__(self, text, add_special_tokens=True):
        from types import SimpleNamespace

        return SimpleNamespace(input_ids=[ord(c) for c in text])

    def apply_chat_template(self, turns, **options):
        assert options["add_generation_prompt"]
        return [ord(c) for c in "".join(f"<{t['role'][0]}>{t['content']}" for t in turns) + "<a>"]

    def decode(self, ids, skip_special_tokens=False):
        return "".join(chr(i) for i in ids if i)


@pytest.fixture
def word_problems(tmp_path) -> Path:
    lines = [
        {"id": f"c{i}", "part": "calibration", "question": f"{i} and 1?", "working": f"{i} + 1 = {i + 1}"}
        for i in range(5)
    ]
    lines += [
        {"id": f"t{i}", "part": "test", "question": f"{i} and 2?", "working": f"{i} + 2 = {i + 2}"} for i in range(3)
    ]
    lines += [
        {"id": "f", "part": "train", "text": "plain"},
        {"id": "r", "part": "train", "question": "q", "working": "9"},
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    (tmp_path / "dataset.json").write_text(json.dumps({"chance": 0.05}))
    return tmp_path


@pytest.mark.parametrize("template", [True, False])
def test_number_task_asks_after_solved_examples_of_the_calibration_part(word_problems, template, monkeypatch):
    import transformers

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *a, **k: Characters(template))
    task = number.Task(word_problems, word_problems)
    task.chat = True
    test = list(task.examples("test"))
    texts = ["".join(map(chr, e.inputs["ids"])) for e in test]
    pairs = [(f"{i} and 1?", f"{i} + 1 = {i + 1}") for i in range(3)]
    if template:
        assert texts[0] == "".join(f"<u>{q}<a>{a}" for q, a in pairs) + "<u>0 and 2?<a>"
    else:
        solved = "".join(f"Question: {q}\nAnswer: {a}\n\n" for q, a in pairs)
        assert texts[0] == solved + "Question: 0 and 2?\nAnswer:"
    assert [e.truth for e in test] == ["2", "3", "4"] and len(set(texts)) == 3 and task.chance == 5
    assert test[0].side == {"max_new_tokens": 14, "stop": [0, 10]}
    for example, own in zip(task.examples("calibration"), range(5), strict=True):
        asked = "".join(map(chr, example.inputs["ids"]))
        assert asked.count(f"{own} and 1?") == 1, "a sample is not among its own solved examples"
    assert [e.id for e in task.examples("train")] == ["r"]
    right, silent = ({"tokens": np.array([ord(c) for c in text])} for text in (" 0 + 2 = 2\n", "two"))
    assert task.outcome(right, "2") == {"correct": 1, "parsed": 1}
    assert task.outcome(silent, "2") == {"correct": 0, "parsed": 0}
    assert task.flipped(silent, right) and not task.flipped(right, right)


def test_letter_task_lists_options(word_problems, monkeypatch):
    import transformers

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *a, **k: Characters(False))
    task = letter.Task(word_problems, word_problems)
    assert letter.Task.chat and not number.Task.chat
    item = {"question": "Capital of X?", "options": [" Rome", " Oslo"], "answer": 1}
    assert task.question(item) == "Capital of X?\nA. Rome\nB. Oslo" and task.answer(item) == "B"


def families():
    from test_models import tiny_gemma, tiny_llama, tiny_qwen

    return {"llama": tiny_llama, "qwen3": tiny_qwen, "gemma3": tiny_gemma}


SIDE = {"max_new_tokens": 6, "stop": [5, 17, 60]}


def tiny(folder, family="llama", dtype="bfloat16"):
    families()[family](folder)
    return models.build({"family": "causal_lm", "options": {"dtype": dtype}}, folder, "layer2")


def some_prompts():
    rng = np.random.default_rng(0)
    return [{"ids": rng.integers(0, 128, length)} for length in (30, 41, 30, 17, 41)]


def same(a, b):
    return all(x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_split_greedy_text_is_the_unsplit_models_bit_for_bit(family, tmp_path):
    model, inputs = tiny(tmp_path, family), some_prompts()
    features, side = model.head(inputs), [SIDE] * len(inputs)
    whole = model.unsplit(inputs, side)
    assert same(model.tail(features, side), whole)
    assert same(model.tail(features[:1], side[:1]), model.unsplit(inputs[:1], side[:1]))
    assert max(len(o["tokens"]) for o in whole) > 1


def test_greedy_text_is_that_of_the_library(tmp_path):
    """Without stop tokens: the tokens of `generate` of transformers."""
    model, inputs = tiny(tmp_path, dtype="float32"), some_prompts()[:1]
    (found,) = model.tail(model.head(inputs), [{"max_new_tokens": 8, "stop": []}])
    ids = torch.tensor(inputs[0]["ids"])[None]
    options = {"do_sample": False, "max_new_tokens": 8, "pad_token_id": 0, "eos_token_id": None}
    wanted = model.net.generate(ids, attention_mask=torch.ones_like(ids), **options)
    assert found["tokens"].tolist() == wanted[0, ids.shape[1] :].tolist()


def test_decode_steps_read_the_decoded_caches(tmp_path):
    """Only values of a head layer are changed: the first token, made from `output` and the tail, stays; later
    distributions, whose new tokens attend to that layer's cache, do not."""
    model, inputs = tiny(tmp_path, dtype="float32"), some_prompts()[:1]
    (clean,) = features = model.head(inputs)
    side = [{"max_new_tokens": 3, "stop": []}]
    (before,) = model.tail(features, side)
    (after,) = model.tail([clean | {"layer1.value": clean["layer1.value"] + 3}], side)
    assert np.array_equal(before["logprobs"][0], after["logprobs"][0])
    assert not np.allclose(before["logprobs"][1], after["logprobs"][1])


def test_the_first_token_needs_no_head(tmp_path):
    """The prompt never reads the head's weights; only decode steps run its layers, on the new tokens."""
    model, inputs = tiny(tmp_path, dtype="float32"), some_prompts()
    features, side = model.head(inputs), [{"max_new_tokens": 1, "stop": []}] * len(inputs)
    clean = model.tail(features, side)
    with torch.no_grad():
        for parameter in [*model.base.layers[:3].parameters(), model.base.embed_tokens.weight]:
            parameter.fill_(float("nan"))
    assert same(model.tail(features, side), clean)
    (longer,) = model.tail(features[:1], [{"max_new_tokens": 2, "stop": []}])
    assert np.isnan(longer["logprobs"][1]).all(), "the second token runs the head's layers"


def test_sensitivity_reads_the_models_own_text(tmp_path):
    from lamofc.models.torch_arrays import to_torch

    model, inputs = tiny(tmp_path, dtype="float32"), some_prompts()[:1]
    (sample,) = model.head(inputs)
    received = {k: to_torch(v)[None].requires_grad_() for k, v in sample.items()}
    feature = model.last_feature(received, [{"max_new_tokens": 3, "stop": []}])
    assert feature.shape == (1, 4, 64)
    feature.sum().backward()
    assert all(v.grad is not None and torch.isfinite(v.grad).all() for v in received.values())


def test_features_of_coded_features_follow_the_text_of_the_uncoded_ones(tmp_path):
    from lamofc.models.torch_arrays import to_torch

    model, inputs = tiny(tmp_path, dtype="float32"), some_prompts()[:1]
    (sample,) = model.head(inputs)
    received = {k: to_torch(v)[None] for k, v in sample.items()}
    coded = {k: torch.zeros_like(v) for k, v in received.items()}
    first = model.held(coded, {"max_new_tokens": 3, "stop": []})["written"][0]
    side = {"max_new_tokens": 3, "stop": [first]}  # what is coded ends its text at once
    held = model.held(received, side)
    assert first not in held["written"]
    assert len(model.held(coded, side)["written"]) < 3
    assert model.last_feature(coded, [held]).shape == model.last_feature(received, [side]).shape
    assert torch.equal(model.last_feature(received, [held]), model.last_feature(received, [side]))


@pytest.mark.parametrize("side", [{"options": [[1, 2], [3], [4, 5, 6]]}, {"max_new_tokens": 3, "stop": []},
                                  {"max_new_tokens": 1, "stop": []}])  # fmt: skip
def test_gradients_of_the_answer(side, tmp_path):
    """Log-probabilities of the options, or those along the model's own text; the same that the tail answers with."""
    from lamofc.models.torch_arrays import to_torch

    model, inputs = tiny(tmp_path, dtype="float32"), some_prompts()[:1]
    (sample,) = model.head(inputs)
    if side.get("max_new_tokens") != 1:  # one token is decided by the hidden state alone
        answers.check(model, measures.likelihood, sample, side)
    (answer,) = model.tail([sample], [side])
    with torch.no_grad():
        scores = model.scores({k: to_torch(v)[None] for k, v in sample.items()}, [side])[0]
    likeliest = answer["logprobs"] if "options" in side else answer["logprobs"][:, 0]
    np.testing.assert_allclose(scores if "options" in side else scores.amax(-1), likeliest, rtol=1e-3, atol=1e-4)
