"""The paper's language and audio models: miniatures that generate; full size on the meta device, number by number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from lamofc import models
from lamofc.convert import kimi_audio
from lamofc.convert.tiktoken_bpe import write_tokenizer
from lamofc.models import budget
from lamofc.models.placing import parameters

ROOT = Path(__file__).parents[1]
SHAPES = ROOT / "config/paper/shapes"
ROWS = yaml.safe_load((ROOT / "config/paper/models.yaml").read_text())
N = 7


def tiny(folder, kind):
    """A random model of the paper's class, with a tokenizer of bytes and its own end of text."""
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 6, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 260, "initializer_range": 0.2, "eos_token_id": 257,
             "tie_word_embeddings": False, **({"head_dim": 32} if kind == "Qwen3" else {})}  # fmt: skip
    net = getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(**sizes))
    net.save_pretrained(folder)
    write_tokenizer({bytes([b]): b for b in range(256)}, {"<|start|>": 256, "<|end|>": 257}, folder)
    return folder


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x[k], y[k]) for x, y in zip(a, b, strict=True) for k in x)


def prompts():
    rng = np.random.default_rng(0)
    return [{"ids": rng.integers(0, 256, length)} for length in (30, 41, 30, 17)], [
        {"max_new_tokens": 12, "stop": [257]}
    ] * 4


@pytest.mark.parametrize("kind", ["Qwen3", "Llama", "Qwen2"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_generated_text_over_received_caches_is_that_of_the_unsplit_model(kind, dtype, tmp_path):
    row = {"family": "causal_lm", "options": {"dtype": dtype}}
    model = models.build(row, tiny(tmp_path, kind), "layer4")
    inputs, side = prompts()
    features = model.head(inputs)
    whole = model.unsplit(inputs, side)
    assert same(model.tail(features, side), whole)
    assert same(model.tail(features[1:2], side[1:2]), model.unsplit(inputs[1:2], side[1:2]))
    with torch.inference_mode():
        prompt = torch.tensor(inputs[1]["ids"])[None]
        made = model.net.generate(prompt, do_sample=False, max_new_tokens=12, eos_token_id=257, pad_token_id=0)
    assert whole[1]["tokens"].tolist() == made[0, 41:].tolist(), "the library's greedy text"


@pytest.mark.parametrize("spread", ["auto", {"model.layers.3": "cpu", "": "cpu"}])
def test_a_model_that_accelerate_places_gives_the_same_text(spread, tmp_path):
    """On one device: what several would hold goes through the same call."""
    pytest.importorskip("accelerate")
    row = {"family": "causal_lm", "options": {"dtype": "bfloat16"}}
    inputs, side = prompts()
    plain = models.build(row, tiny(tmp_path, "Qwen3"), "layer4")
    placed = models.build(row | {"options": row["options"] | {"device_map": spread}}, tmp_path, "layer4")
    features = plain.head(inputs)
    assert same(placed.head(inputs), features)
    assert same(placed.tail(features, side), plain.unsplit(inputs, side))


def on_meta(name):
    row = ROWS[name]
    return models.build(row | {"options": row["options"] | {"device": "meta"}}, SHAPES / name, "layer4")


# SPEC.md, section 1: (tensors of the first five layers, their natural shape for N tokens, dtype) beside the output.
TABLE = {
    "qwen3-8b": ((N, 4096), "bfloat16", {"key": (8, N, 128), "value": (8, N, 128)}, "bfloat16"),
    "llama3-8b": ((N, 4096), "bfloat16", {"key": (8, N, 128), "value": (8, N, 128)}, "bfloat16"),
    "falcon-mamba-7b": ((N, 4096), "float32", {"ssm": (8192, 16), "conv": (8192, 4)}, "float16"),
    "kimi-audio-7b": ((N, 3584), "bfloat16", {"key": (4, N, 128), "value": (4, N, 128)}, "bfloat16"),
}
# Weights of the text models, as their publishers count them.
SIZES = {"qwen3-8b": 8_190_735_360, "llama3-8b": 8_030_261_248, "falcon-mamba-7b": 7_272_665_088}


@pytest.fixture(scope="module", params=TABLE)
def full(request):
    return request.param, on_meta(request.param)


def test_what_crosses_equals_the_papers_table(full):
    name, model = full
    output, output_dtype, states, dtype = TABLE[name]
    expected = {"output": (output, output_dtype)}
    expected |= {f"layer{i}.{k}": (shape, dtype) for i in range(5) for k, shape in states.items()}
    assert {s.name: (s.resolve(N), s.dtype) for s in model.specs} == expected
    with torch.inference_mode():
        found = model.features(budget.blank_prompt(model, 1, N))
    assert {k: (tuple(t.shape[1:]), str(t.dtype).removeprefix("torch.")) for k, t in found.items()} == expected
    assert all(t.shape[0] == 1 and t.is_meta for t in found.values())


def test_weights_of_head_and_tail_are_counted(full):
    name, model = full
    head, tail = model.parts()
    if name in SIZES:
        assert parameters(*head, *tail) == SIZES[name] == parameters(model.net)
    else:
        trunk = parameters(model.net)
        # Qwen2.5-7B as published, with 16 384 more rows in its embedding and in its head
        assert trunk == 7_615_616_512 + 2 * 16_384 * 3584
        layer = 4 * 1280**2 + 3 * 1280 + 2 * 1280 * 5120 + 5120 + 1280 + 4 * 1280  # keys have no bias
        convolutions = 3 * 1280 * (128 + 1280) + 2 * 1280
        assert parameters(model.encoder) == 32 * layer + convolutions + 1500 * 1280 + 2 * 1280
        assert parameters(*head, *tail) == trunk + sum(map(parameters, (model.encoder, model.projector, model.speech)))


def test_the_tail_takes_what_crosses(full):
    name, model = full
    with torch.inference_mode():
        hidden, _ = model.prefill(model.features(budget.blank_prompt(model, 2, N)))
    assert hidden.shape == (2, N, TABLE[name][0][1]) and hidden.is_meta


def test_memory_and_work_are_derived_from_the_meta_run(full):
    name, model = full
    tokens = 24 if name.startswith("falcon") else 200  # the library's scan goes token by token
    facts = budget.derive(model, tokens, new_tokens=10)
    cross = sum(np.prod(s.resolve(tokens)) * (4 if s.dtype == "float32" else 2) for s in model.specs)
    assert facts.feature_bytes == cross
    assert facts.model_bytes == pytest.approx(2 * facts.head_weights + 2 * facts.tail_weights, rel=0.2)
    layers = model.net.config.num_hidden_layers
    # one window through 32 layers of the encoder and 16 of the speech tokenizer: weights, and scores between frames
    sound = 2 * 1500 * 48 * 19.67e6 + 48 * 4 * 1500**2 * 1280 if name.startswith("kimi") else 0
    assert facts.head_flops == pytest.approx(facts.tail_flops * 5 / (layers - 5) + sound, rel=0.1)
    assert facts.tail_flops == pytest.approx(2 * tokens * facts.tail_weights, rel=0.25), (
        "two operations a weight and token"
    )


def test_a_job_takes_its_prompts_its_steps_and_its_weights():
    facts = budget.Facts(head_weights=10**9, tail_weights=7 * 10**9, model_bytes=16 * 10**9, feature_bytes=10**6,
                         cache_bytes=2 * 10**6, head_flops=10**12, tail_flops=7 * 10**12)  # fmt: skip
    device = budget.Device("test", memory_gb=24, flops=1e14, bandwidth=1e12, disk=1e9, used=0.5)
    hours = budget.evaluate_hours(facts, device, samples=100, points=5, new_tokens=50, batch=10)
    prompts, steps, load = 500 * 7e12 / 5e13, 50 * 50 * 16e9 / 5e11, 16.0
    assert hours == pytest.approx((prompts + steps + load) / 3600)
    assert budget.memory_gb(facts, batch=10) == pytest.approx(16 + 10 * 0.003 + 1.6)


def test_the_layout_of_kimi_in_the_repository_is_what_the_converter_makes():
    folder = SHAPES / "kimi-audio-7b"
    config = json.loads((folder / "published.json").read_text())
    special = {"<|im_kimia_text_blank|>": 151666, "<|im_kimia_text_eos|>": 151667, "<|im_msg_end|>": 151645,
               "[EOS]": 151644}  # fmt: skip
    assert json.loads((folder / "trunk/config.json").read_text()) == kimi_audio.trunk_config(config)
    assert json.loads((folder / "audio_lm.json").read_text()) == kimi_audio.layout(config, special)
