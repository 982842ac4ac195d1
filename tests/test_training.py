"""Language models that the project trains: what they read, how rows are filled, training that goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from lamofc.errors import ConfigError, FetchError
from lamofc.training.packing import Document, Source, batch

ROOT = Path(__file__).parents[1]
ROWS = yaml.safe_load((ROOT / "config/trainings.yaml").read_text())


def document(start, length, answer=0):
    weight = np.ones(length, np.float32)
    weight[length - answer :] = 4 if answer else 1
    return Document(np.arange(start, start + length), weight)


def test_rows_hold_whole_documents_and_end_in_a_passage():
    questions = Source([document(100 * i, 7, answer=2) for i in range(1, 9)], share=3)
    running = Source([document(5000, 90)], share=1, passages=True)
    inputs, targets, weights = batch([questions, running], rows=6, length=40, seed=(1, 2))
    assert inputs.shape == targets.shape == weights.shape == (40, 6)
    assert np.array_equal(inputs[1:], targets[:-1])
    for row in np.concatenate([inputs[:1], targets]).T:
        starts = [i for i, t in enumerate(row) if t < 5000 and t % 100 == 0]
        assert all(row[i + 6] == row[i] + 6 for i in starts), "a question is cut"
        assert len(starts) * 7 + int((row >= 5000).sum()) == 41
    assert np.array_equal(weights == 4, (targets < 5000) & (targets % 100 > 4))
    again = batch([questions, running], rows=6, length=40, seed=(1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(again, (inputs, targets, weights), strict=True))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "sums"
    folder.mkdir()
    rows = [{"id": f"q{i}", "part": "train", "prompt": f"{i} + 1 =", "text": f"{i} + 1 = {i + 1}"} for i in range(5)]
    rows += [{"id": f"s{i}", "part": "train", "text": f"After {i} comes {i + 1}.\nThen more."} for i in range(40)]
    rows += [{"id": "t", "part": "test", "prompt": "secret", "text": "secret"}]
    (folder / "items.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return {"sums": folder}


def entry(**changes):
    shares = {"sums": {"questions": 1, "statements": 1, "passages": 1}}
    network = {"vocab_size": 300, "hidden_size": 16, "state_size": 4, "num_hidden_layers": 2}
    return ROWS["falcon-mamba-small"] | {"network": network, "shares": shares, "rows": 2, "length": 24} | changes


def test_only_train_parts_are_read_and_answers_weigh_more(data):
    from lamofc.training import corpus, subwords

    assert "secret" not in set(corpus.texts(data, {}))
    tokenizer = subwords.train(corpus.texts(data, {}), 300)
    asked, told, running = corpus.sources(entry(), data, {}, tokenizer)
    assert [len(s.documents) for s in (asked, told, running)] == [5, 40, 45] and running.passages
    ids, weight = asked.documents[4].ids, asked.documents[4].weight
    assert tokenizer.decode(ids[weight > 1].tolist()) == " 5" and ids[0] == tokenizer.token_to_id(subwords.END)
    text = told.documents[12].ids.tolist()
    assert tokenizer.decode(text) == "After 12 comes 13.\nThen more."
    tokens = [tokenizer.id_to_token(i) for i in text]
    assert "1" in tokens and "12" not in tokens, "digits stand alone"
    with pytest.raises(ConfigError, match="books: there are no passages"):
        corpus.sources(entry(shares={"books": {"passages": 1}}), data, {}, tokenizer)


def test_training_learns_and_goes_on_where_it_stopped(data, tmp_path):
    torch = pytest.importorskip("torch")
    from lamofc.training import corpus, state_space_lm, subwords
    from lamofc.training.language import Training

    settings = entry(steps=20, warm_up=2, learning_rate=0.01)
    tokenizer = subwords.train(corpus.texts(data, {}), 300)
    sources = corpus.sources(settings, data, {}, tokenizer)
    finished = []
    for state, stops in ((tmp_path / "a", [20]), (tmp_path / "b", [10, 20])):
        for stop in stops:
            training = Training(state_space_lm.build(settings), settings, sources, state)
            training.run(log=lambda line: None, last=stop)
        finished.append((training.finish(), training.curve))
    (once, curve), (twice, resumed) = finished
    assert all(torch.equal(once[k], twice[k]) for k in once)
    assert curve == resumed and curve[-1]["loss"] < curve[0]["loss"]


def test_shipped_files_are_checked(tmp_path):
    from lamofc.stages.train_language_model import install

    (tmp_path / "shipped").mkdir()
    with pytest.raises(FetchError, match=r"no .*model.safetensors; restore it"):
        install("m", {"model.safetensors": "0" * 64}, tmp_path / "shipped", tmp_path / "out")
    (tmp_path / "shipped/model.safetensors").write_bytes(b"other")
    with pytest.raises(FetchError, match=r"has sha256 .*, config/trainings.yaml says 000"):
        install("m", {"model.safetensors": "0" * 64}, tmp_path / "shipped", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if "sha256" in row])
def test_what_ships_is_what_the_row_says_and_small(name, tmp_path):
    from lamofc.stages.train_language_model import RECORD, SHIPPED, install

    install(name, ROWS[name]["sha256"], ROOT / SHIPPED / name, tmp_path / name)
    record = json.loads((tmp_path / name / RECORD).read_text())
    settings = {k: v for k, v in ROWS[name].items() if k != "sha256"}
    assert record["settings"] == settings and record["sha256"] == ROWS[name]["sha256"]
    for phase, rule in settings.get("phases", {None: settings}).items():
        taken = record["steps"] if phase is None else record["steps"][phase]
        assert taken == rule.get("stop", rule["steps"])
    assert set(record.get("validation", ())) == set(settings.get("validation", ()))
    assert sum(p.stat().st_size for p in (tmp_path / name).rglob("*") if p.is_file()) < 15 << 20


def test_a_saved_model_is_loaded_as_it_was_trained(tmp_path):
    """Weights of a stranger's scale come back: nothing is initialised anew, or scaled again, over them."""
    import torch
    from transformers import AutoModelForCausalLM

    from lamofc.training import state_space_lm

    net = state_space_lm.build(entry())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))
    state_space_lm.save(net, tmp_path)
    found = dict(AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).named_parameters())
    assert all(torch.equal(p, found[n]) for n, p in net.named_parameters())


def test_a_document_that_does_not_fit_begins_the_next_row():
    long = Source([document(1000, 30)], share=1)
    running = Source([document(5000, 90)], share=1e-9, passages=True)
    inputs, targets, _ = batch([long, running], rows=5, length=40, seed=(3,))
    rows = np.concatenate([inputs[:1], targets]).T
    assert all(np.array_equal(row[:30], np.arange(1000, 1030)) for row in rows)
    assert (rows[:, 30:] >= 5000).all()
