"""A projector that learns tokens from speech: what it hears becomes positions; the cut leaves no trace."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_audio_lm
import torch
from safetensors.torch import save_file

from lamofc import models
from lamofc.convert import whisper_window
from lamofc.datasets.folder import DatasetFolder
from lamofc.errors import ConfigError
from lamofc.features import check
from lamofc.models.token_projector import TokenProjector, merged
from lamofc.training import heard, hearing
from lamofc.training.heard import Heard

NETWORK = {"stack": 2, "hidden": 32, "layers": 1, "heads": 2}
pytestmark = pytest.mark.usefixtures("one_thread")


def test_runs_of_one_token_become_one_position_and_blanks_none():
    shares = torch.full((7, 4), 0.1)
    for frame, best in enumerate((0, 2, 2, 0, 2, 3, 0)):
        shares[frame, best] = 0.7
    shares[1] = torch.tensor([0.0, 0.0, 0.6, 0.4])
    runs = merged(shares)
    assert runs.argmax(-1).tolist() == [2, 2, 3], "a blank parts two of the same token"
    assert torch.allclose(runs[0], (shares[1] + shares[2]) / 2)
    assert torch.allclose(merged(shares[:1]), shares[:1]), "silence is one position"


def test_positions_are_weighted_embeddings_without_the_blank():
    torch.manual_seed(0)
    projector = TokenProjector(8, classes=4, **NETWORK).eval()
    projector.vocabulary.copy_(torch.tensor([5, 1, 3]))
    table, frames = torch.randn(9, 6), torch.randn(12, 8)
    with torch.inference_mode():
        runs = merged(projector.logits(frames[None])[0].softmax(-1))
        made = projector(frames, table)
    weights = runs[:, 1:] / runs[:, 1:].sum(-1, keepdim=True)
    assert torch.allclose(made, weights[:, :1] * table[5] + weights[:, 1:2] * table[1] + weights[:, 2:] * table[3])


def test_neighbours_in_a_batch_do_not_change_what_is_heard():
    torch.manual_seed(0)
    projector = TokenProjector(8, classes=4, **NETWORK).eval()
    sounds = [torch.randn(8, 8), torch.randn(20, 8)]
    frames, lengths, padding = hearing.stacked(sounds, 2)
    with torch.inference_mode():
        both = projector.logits(frames, padding)
        alone = projector.logits(sounds[0][None])
    assert lengths.tolist() == [4, 10] and torch.allclose(both[:1, :4], alone, atol=1e-5)


class Letters:
    """A tokenizer of one token a letter."""

    def __call__(self, text, add_special_tokens):
        return SimpleNamespace(input_ids=[ord(c) for c in text if c != " "])

    def decode(self, ids):
        return "".join(map(chr, ids))


def spoken(count, rng):
    """Utterances whose frames show their letters, four frames each."""
    texts = ["".join(rng.choice(list("abc"), 3)) for _ in range(count)]
    shapes = {c: rng.standard_normal(8) * 2 for c in "abc"}
    blank = np.zeros((4, 8))
    return [
        Heard(torch.from_numpy(np.concatenate([x for c in t for x in (np.tile(shapes[c], (4, 1)), blank)])).half(), t)
        for t in texts
    ]


def test_it_learns_and_goes_on_where_it_stopped(tmp_path):
    learnt = spoken(40, np.random.default_rng(0))
    entry = {"network": NETWORK, "dropout": 0.1, "rows": 16, "steps": 60, "learning_rate": 0.01, "weight_decay": 0.0,
             "warm_up": 5, "decay": 0.5, "clip": 1, "mean_over": 5, "seed": 1}  # fmt: skip
    finished = []
    for state, stops in ((tmp_path / "a", [60]), (tmp_path / "b", [30, 60])):
        for stop in stops:
            net = hearing.build(entry, 8, hearing.vocabulary(learnt, Letters()))
            training = hearing.Hearing(net, entry, learnt, Letters(), state)
            training.run(log=lambda line: None, last=stop)
        finished.append({k: v.clone() for k, v in training.finish().items()})
    assert all(torch.equal(finished[0][k], finished[1][k]) for k in finished[0])
    assert hearing.error_rate(net, learnt[:10], Letters()) < 20


def test_a_training_goes_on_from_an_earlier_one_with_further_tokens():
    first = hearing.build({"network": NETWORK, "dropout": 0.1, "seed": 1}, 8, [5, 9])
    torch.nn.init.normal_(first.classes.weight, std=2)
    said = [Heard(torch.zeros(0), "ab")]
    known = hearing.vocabulary(said, Letters(), first.vocabulary.tolist())
    assert known == [5, 9, ord("a"), ord("b")]
    net = hearing.build({"network": NETWORK, "dropout": 0.1, "seed": 2}, 8, known)
    hearing.begin(net, {k: v.half() if v.is_floating_point() else v for k, v in first.state_dict().items()})
    frames = torch.randn(1, 12, 8)
    with torch.inference_mode():
        assert torch.allclose(net.eval().logits(frames)[..., :3], first.eval().logits(frames), atol=0.05)
    assert net.vocabulary.tolist() == known
    other = hearing.build({"network": NETWORK, "dropout": 0.1, "seed": 2}, 8, [9, 5])
    with pytest.raises(ConfigError, match="other tokens"):
        hearing.begin(other, first.state_dict())
    wide = hearing.build({"network": NETWORK | {"hidden": 64}, "dropout": 0.1, "seed": 2}, 8, known)
    with pytest.raises(ConfigError, match=r"other sizes: first\.weight"):
        hearing.begin(wide, first.state_dict())


def test_recordings_are_played_at_their_speed_and_through_a_telephone(tmp_path):
    target = DatasetFolder(tmp_path)
    sound = (3000 * np.sin(np.arange(16000) / 5)).astype(np.int16)
    audio = target.wav("a.wav", sound)
    for number, (speed, snr_db) in enumerate([(100, None), (80, None), (125, 10.0), (20, None)]):
        target.add("train", f"t{number}", audio=audio, said=f"at {speed}", speed=speed, snr_db=snr_db)
    for part in ("calibration", "test"):
        target.add(part, part, audio=audio, said="held")
    target.finish({"name": "tiny"})
    found = list(heard.said(tmp_path, {}, 4))
    assert [text for _, text in found] == ["at 100", "at 80", "at 125"], "one that lasts 5 s is left out"
    assert [len(s) for s, _ in found] == [16000, 20000, 12800]
    assert np.array_equal(found[0][0], sound.astype(np.float32) / 32768)
    again = [s for s, _ in heard.said(tmp_path, {}, 4)]
    assert all(np.array_equal(a, s) for a, (s, _) in zip(again, found, strict=True)), "the noise is drawn by rule"
    assert np.abs(found[2][0][:2000]).max() > 0.005, "noise"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny_audio_lm.save_small(tmp_path_factory.mktemp("hearing"))
    torch.manual_seed(3)
    projector = TokenProjector(16, classes=40, **NETWORK)
    projector.vocabulary.copy_(torch.randperm(320)[:39])
    torch.nn.init.normal_(projector.classes.weight, std=3)
    save_file(projector.state_dict(), folder / "projector.safetensors")
    layout = json.loads((folder / "audio_lm.json").read_text())
    prompt = [{"text": "the{before}"}, {"sound": True}, {"text": "{text} and{start}"}]
    (folder / "audio_lm.json").write_text(
        json.dumps(layout | {"prompt": prompt, "projector": NETWORK | {"classes": 40}})
    )
    return folder


def sounds(start):
    rng = np.random.default_rng(0)
    return [
        {"audio": rng.standard_normal(n).astype(np.float32) / 10, "text": "?", "start": start}
        for n in (9000, 9000, 30000, 4000)
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("side", [{}, {"options": [[1, 2], [3], [4, 5, 6]]}])
def test_the_cut_leaves_no_trace(folder, dtype, side):
    options = {"dtype": dtype, "heard_dtype": "float32", "max_tokens": 5}
    model = models.build({"family": "audio_lm", "options": options}, folder, "layer1")
    inputs = sounds(" the")
    features = model.head(inputs)
    for sample in features:
        check(sample, model.specs)
    lengths = {len(f["output"]) for f in features}
    assert len(lengths) > 1, "what is heard decides how many positions there are"
    assert len(model.head(sounds("")[:1])[0]["output"]) < len(features[0]["output"])
    whole, cut = model.unsplit(inputs, [side] * 4), model.tail(features, [side] * 4)
    if side:
        assert [w["choice"] for w in whole] == [c["choice"] for c in cut]
        assert all(np.array_equal(w["logprobs"], c["logprobs"]) for w, c in zip(whole, cut, strict=True))
    else:
        assert whole == cut and any(whole)
        assert len(model.unsplit(inputs, [{"max_new_tokens": 50}] * 4)) == 4


def test_a_shorter_window_keeps_the_first_positions(tmp_path):
    from transformers import WhisperForConditionalGeneration

    tiny_audio_lm.save_whisper(tmp_path / "whole")
    whisper_window.cut(tmp_path / "whole", tmp_path / "cut", 2)
    from lamofc.models.audio_parts import load_encoder

    cut = load_encoder(tmp_path / "cut", "float32", "cpu")
    whole = WhisperForConditionalGeneration.from_pretrained(tmp_path / "whole").model.encoder
    assert torch.equal(cut.embed_positions.weight, whole.embed_positions.weight[:100])
    with torch.inference_mode():
        assert cut(torch.randn(1, 16, 200)).last_hidden_state.shape == (1, 100, 16)


def test_options_of_a_spoken_question_are_scored_as_text(folder, tmp_path):
    from lamofc import tasks

    target = DatasetFolder(tmp_path)
    path = target.wav("a.wav", np.full(8000, 100, np.int16))
    for part in ("calibration", "test"):
        target.add(part, part, audio=path, question="?", start=" the", options=["the", " and", "é", "x"], answer=1)
    target.finish({"name": "tiny"})
    task = tasks.build("spoken_choice", tmp_path, folder)
    (example,) = task.examples("test")
    assert task.chance == 25 and task.modality == "audio" and example.truth == 1
    assert {k: v for k, v in example.inputs.items() if k != "audio"} == {"text": "?", "start": " the"}
    ranks = tiny_audio_lm.RANKS
    assert example.side == {"options": [[ranks[t]] for t in (b"the", b" and", "é".encode(), b"x")]}
    model = models.build({"family": "audio_lm", "options": {"dtype": "float32"}}, folder, "layer1")
    (output,) = model.unsplit([example.inputs], [example.side])
    assert task.outcome(output, output["choice"]) == {"correct": 1.0}


def test_a_head_that_hears_more_tokens_is_farther_from_the_original():
    from lamofc.distortion import Distortion
    from lamofc.interfaces import TensorSpec

    original = {"output": np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)}
    values = []
    for decoded in (original["output"], np.concatenate([original["output"], np.ones((2, 3), np.float32)])):
        distortion = Distortion([TensorSpec("output", "tokens", "float32", (None, 3))])
        distortion.add(original, {"output": decoded})
        values.append((distortion.rel_mse(), distortion.cosine()))
    assert values[0] == pytest.approx((0.0, 1.0)) and values[1] == pytest.approx(
        (6 / float(np.square(original["output"]).sum()), 4 / 6)
    )
