"""Language models that hear: cut without a trace, read as published, and what each position holds."""

from __future__ import annotations

import json

import answers
import numpy as np
import pytest
import tiny_audio_lm
import torch

from lamofc import models
from lamofc.convert import convert
from lamofc.convert.tiktoken_bpe import VocabularyError, merges, read_ranks
from lamofc.errors import ConfigError, FetchError
from lamofc.features import check
from lamofc.models.audio_parts import Projector
from lamofc.models.speech_tokens import SpeechTokens, block_mask
from lamofc.tasks import measures

SECONDS = (1.0, 1.0, 0.33, 31.0)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("audio")
    packages = tiny_audio_lm.save_kimi(place / "hub")
    return {"kimi": convert("kimi_audio", packages, place / "kimi"), "small": tiny_audio_lm.save_small(place / "small")}


def build(folder, **options):
    return models.build({"family": "audio_lm", "options": {"max_tokens": 6} | options}, folder, "layer1")


def sounds(seconds=SECONDS):
    rng = np.random.default_rng(0)
    texts = ["What is said?", "Then repeat it", "", "the end"]
    return [{"audio": rng.standard_normal(round(s * 16000)).astype(np.float32) / 10, "text": t}
            for s, t in zip(seconds, texts, strict=False)]  # fmt: skip


@pytest.mark.parametrize("name", ["kimi", "small"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_cut_leaves_no_trace(folders, name, dtype):
    model = build(folders[name], dtype=dtype)
    inputs = sounds(SECONDS if dtype == "float32" else SECONDS[:3])
    side = [{}] * len(inputs)
    features = model.head(inputs)
    for sample in features:
        check(sample, model.specs)
    assert [s.name for s in model.specs] == ["output", "layer0.key", "layer0.value", "layer1.key", "layer1.value"]
    assert [len(f["output"]) for f in features] == [model._positions(i) for i in inputs]
    whole = model.unsplit(inputs, side)
    assert model.tail(features, side) == whole
    assert model.tail(features[1:2], side[1:2]) == model.unsplit(inputs[1:2], side[1:2])
    assert any(whole), "a miniature that says nothing tests nothing"


def test_cached_generation_is_the_generation_without_a_cache(folders):
    """Greedy text by whole forward passes over prompt and own text, from the embeddings up."""
    model = build(folders["kimi"], dtype="float32")
    item = sounds()[0]
    with torch.inference_mode():
        embeds, made = model._prompt([item])["inputs_embeds"], []
        for _ in range(6):
            logits = model.net(inputs_embeds=embeds).logits[0, -1, : model.layout["text_vocabulary"]]
            made.append(int(logits.argmax()))
            if made[-1] in model.layout["stop"]:
                made.pop()
                break
            blank, token = torch.tensor([[model.layout["blank"]]]), torch.tensor([[made[-1]]])
            embeds = torch.cat([embeds, model.base.embed_tokens(blank) + model.base.embed_tokens(token)], 1)
    text = lambda ids: model.tokenizer.decode(ids, skip_special_tokens=True).strip()  # noqa: E731
    assert model.unsplit([item], [{}]) == [text(made)]
    assert model.unsplit([item], [{"max_new_tokens": 2}]) == [text(made[:2])]


def test_what_each_position_of_kimi_holds(folders):
    model = build(folders["kimi"], dtype="float32")
    item = {"audio": sounds()[0]["audio"], "text": "the"}
    table = model.base.embed_tokens.weight
    blank = model.layout["blank"]
    with torch.inference_mode():
        embeds = model._prompt([item])["inputs_embeds"][0]
        heard = model.projector(model.encode(item["audio"]))
    token = model.tokenizer.convert_tokens_to_ids
    assert embeds.shape[0] == 1 + 1 + 1 + 13 + 4, "one token a piece, 12.5 positions a second"
    assert torch.equal(embeds[0], table[token("<|im_kimia_user_msg_start|>")] + table[blank])
    assert torch.equal(embeds[1], table[blank] + table[tiny_audio_lm.RANKS[b"the"]])
    speech = model.speech_ids(item["audio"])
    assert len(speech) == 13 and len(set(speech)) > 1 and min(speech) >= tiny_audio_lm.OFFSET
    assert torch.allclose(embeds[3 + 5], (table[speech[5]] + heard[5]) * 2**0.5 + table[blank])
    assert torch.equal(embeds[-1], table[token("<|im_kimia_assistant_msg_start|>")] + table[blank])


def test_a_plain_model_has_the_sound_in_place_of_text(folders):
    model = build(folders["small"], dtype="float32")
    item = {"audio": sounds()[2]["audio"], "text": ""}
    with torch.inference_mode():
        embeds = model._prompt([item])["inputs_embeds"][0]
        heard = model.projector(model.encode(item["audio"]))
    start = len(model.tokenizer("<|im_start|>user\n", add_special_tokens=False).input_ids)
    assert len(heard) == 9 and torch.equal(embeds[start : start + 9], heard)  # .33 s at 25 positions a second


def test_the_tail_reads_neither_encoder_nor_projector_nor_head_layers(folders):
    model = build(folders["kimi"], dtype="float32")
    features = model.head(sounds()[:1])
    received = {k: torch.from_numpy(v[None]) for k, v in features[0].items()}
    with torch.inference_mode():
        clean, _ = model.prefill(received)
        head = [model.encoder, model.projector, model.speech, model.base.embed_tokens, *model._layers[:2]]
        for module in head:
            for parameter in module.parameters():
                parameter.fill_(float("nan"))
        poisoned, _ = model.prefill(received)
    assert torch.isfinite(clean).all() and torch.equal(clean, poisoned)
    assert {id(p) for m in head for p in m.parameters()} == {id(p) for m in model.parts()[0] for p in m.parameters()}


def test_the_encoder_is_the_published_one_and_nothing_is_left_at_random(folders):
    from transformers import WhisperForConditionalGeneration

    published = WhisperForConditionalGeneration.from_pretrained(folders["kimi"] / "encoder", dtype=torch.float32)
    encoder = build(folders["kimi"], dtype="float32").encoder
    for name, value in published.model.encoder.state_dict().items():
        assert torch.equal(value, encoder.state_dict()[name]), name


def test_gradients_reach_what_was_received(folders):
    model = build(folders["small"], dtype="float32")
    received = {k: torch.from_numpy(v[None]).requires_grad_() for k, v in model.head(sounds()[:1])[0].items()}
    model.last_feature(received, [{}]).sum().backward()
    assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in received.values())


@pytest.mark.parametrize("side", [{}, {"options": [[1, 2], [3]]}])
def test_gradients_of_the_answer(folders, side):
    model = build(folders["small"], dtype="float32")
    answers.check(model, measures.likelihood, model.head(sounds()[2:3])[0], side)


def test_kimis_projector_is_the_published_sequence():
    ours = Projector(16, 32, stack=4, hidden=32, norm_eps=1e-6)
    theirs = torch.nn.Sequential(ours.first, torch.nn.SiLU(), torch.nn.Dropout(0.0), ours.second, ours.norm).eval()
    frames = torch.randn(8, 16)
    assert torch.equal(ours(frames), theirs(frames.reshape(2, 64)))
    assert torch.equal(frames.reshape(2, 64)[1], frames[4:8].flatten()), "frames follow one another in a stack"


def test_speech_tokens_look_back_whole_blocks_and_never_ahead():
    mask = block_mask(5, 2, torch.zeros(1))[0, 0] == 0
    assert mask.int().tolist() == [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1] * 5]
    torch.manual_seed(0)
    config = tiny_audio_lm.whisper_config(quantize_position=2, quantize_vocab_size=64, quantize_causal_block_size=200,
                                          pooling_kernel_size=4, init_std=0.5)  # fmt: skip
    net = SpeechTokens(config).eval()
    torch.nn.init.normal_(net.codebook.weight)
    mel = torch.randn(1, 16, 1600)
    changed = mel.clone()
    changed[..., 800:] += 3  # the third block of 200 frames at 50 Hz
    assert net(mel).shape == (200,)
    assert torch.equal(net(mel)[:100], net(changed)[:100]) and not torch.equal(net(mel), net(changed))


def test_the_tokenizer_of_a_tiktoken_file(folders):
    tokenizer = build(folders["kimi"]).tokenizer
    ids = tokenizer("the thé and<|im_msg_end|>", add_special_tokens=False).input_ids
    ranks = tiny_audio_lm.RANKS
    expected = [ranks[b"the"], ranks[b" th"], ranks["é".encode()], ranks[b" and"]]
    assert ids == [*expected, len(ranks) + 2]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the thé and"
    assert merges(ranks)[:3] == [(b"t", b"h"), (b"th", b"e"), (b" ", b"th")]


def test_damaged_vocabularies_are_refused(tmp_path):
    (tmp_path / "x").write_text("!!! 1")
    with pytest.raises(VocabularyError, match="base64"):
        read_ranks(tmp_path / "x")
    with pytest.raises(VocabularyError, match="lower ranks"):
        merges({bytes([b]): b for b in range(256)} | {b"abc": 256})


def test_a_repository_without_its_parts_is_refused(tmp_path):
    packages = tiny_audio_lm.save_kimi(tmp_path / "hub")
    with pytest.raises(FetchError, match="quantize_vocab_size"):
        convert("kimi_audio", {"kimi": packages["kimi"]}, tmp_path / "out")
    (packages["kimi"] / "model-2-of-2.safetensors").unlink()
    with pytest.raises(FetchError, match="adaptor"):
        convert("kimi_audio", packages, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_layout_that_cannot_be_is_refused(tmp_path):
    folder = tiny_audio_lm.save_small(tmp_path)
    layout = json.loads((folder / "audio_lm.json").read_text())
    (folder / "audio_lm.json").write_text(json.dumps(layout | {"prompt": [{"text": "x"}]}))
    with pytest.raises(ConfigError, match="one piece"):
        build(folder)
    (folder / "audio_lm.json").write_text(json.dumps(layout | {"projector": {"stack": 3}}))
    with pytest.raises(ConfigError, match=r"projector\.safetensors"):
        build(folder)
