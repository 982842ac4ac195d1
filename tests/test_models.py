"""tail(head(x)) is the unsplit model, bit for bit; the tail needs no head; random-weight models need no download."""

from __future__ import annotations

from pathlib import Path

import answers
import numpy as np
import pytest
import tiny_audio_lm
import torch

from lamofc import models
from lamofc.errors import ConfigError
from lamofc.features import check
from lamofc.tasks import measures

RESOURCES = Path(__file__).parents[1] / "resources/models"
pytestmark = pytest.mark.usefixtures("one_thread")


def same(a, b) -> bool:
    if isinstance(a, dict):
        return all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b)


def images(n):
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 255, (224, 224, 3), dtype=np.uint8) for _ in range(n)]
    return [{"image": p} for p in pixels], [{"size": [224, 224]}] * n


def prompts(n, vocabulary=40000):
    rng = np.random.default_rng(0)
    ids = [{"ids": rng.integers(0, vocabulary, length)} for length in (30, 41, 30, 17, 41)[:n]]
    return ids, [{"options": [[1, 2, 3], [4, 5], [6], [7, 8, 9, 10]]}] * n


def questions(n):
    return prompts(n)[0], [{"max_new_tokens": 5, "stop": [2, 198]}] * n


def sounds(n):
    rng = np.random.default_rng(0)
    waves = [rng.standard_normal(length).astype(np.float32) * 0.1 for length in (50000, 90000, 50001, 16000)[:n]]
    return [{"audio": w} for w in waves], [{}] * n


REAL = [
    ("vit", "dinov2-s", "block2", "mask-decoder", {}, images),
    ("vit", "dinov2-s", "block8", "mask-decoder", {}, images),
    ("vit", "dinov2-s", "block11", "mask-decoder", {}, images),
    ("vit", "dinov2-s", "blocks2-5-8-11", "depth", {}, images),
    ("causal_lm", "smollm2-135m", "layer4", None, {}, prompts),
    ("causal_lm", "smollm2-135m", "layer4", None, {"dtype": "float32"}, prompts),
    ("causal_lm", "smollm2-135m", "layer4", None, {}, questions),
    ("causal_lm", "smollm2-135m", "layer0", None, {}, prompts),
    ("whisper", "whisper-tiny-en", "encoder", None, {}, sounds),
    ("whisper", "whisper-tiny-en", "encoder", None, {"trim_seconds": 0}, sounds),
    ("whisper", "whisper-base", "encoder", None, {}, sounds),
]


@pytest.mark.resources
@pytest.mark.parametrize(("family", "name", "split", "readout", "options", "make"), REAL)
def test_real_models_are_cut_without_a_trace(family, name, split, readout, options, make):
    weights = RESOURCES / name
    if not weights.is_dir():
        pytest.skip(f"{weights} is not there: run `snakemake fetch --cores 2`")
    model = models.build({"family": family, "options": options}, weights, split, readout)
    assert_identity(model, *make(4))


def assert_identity(model, inputs, side):
    """Batched and one by one, and specs that fit."""
    features = model.head(inputs)
    for sample in features:
        check(sample, model.specs)
    whole = model.unsplit(inputs, side)
    assert same(model.tail(features, side), whole)
    assert same(model.tail(features[:1], side[:1]), model.unsplit(inputs[:1], side[:1]))


def tiny_llama(folder):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
                         num_key_value_heads=2, vocab_size=128)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def tiny_qwen(folder):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=32, vocab_size=128)  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)


def tiny_gemma(folder):
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
                              num_key_value_heads=1, head_dim=32, vocab_size=128, sliding_window=16,
                              query_pre_attn_scalar=32)  # fmt: skip
    Gemma3ForCausalLM(config).save_pretrained(folder)


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen, tiny_gemma])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_any_causal_lm_is_a_config_row(make, dtype, tmp_path):
    make(tmp_path)
    model = models.build({"family": "causal_lm", "options": {"dtype": dtype}}, tmp_path, "layer2")
    assert_identity(model, *prompts(5, vocabulary=128))


LANGUAGES = ["<|en|>", "<|transcribe|>"]


@pytest.mark.parametrize("told", [[], LANGUAGES], ids=["english", "multilingual"])
def test_a_whisper_of_any_size_is_a_config_row(told, tmp_path):
    """Models of many languages are told which, and what to do; those of English alone have other ids and are not."""
    from lamofc.convert.tiktoken_bpe import write_tokenizer

    torch.manual_seed(0)
    ranks = {bytes([b]): b for b in range(256)}
    size = 51865 if told else 51864  # what tells the two kinds apart
    names = ["<|endoftext|>", "<|startoftranscript|>", *told, "<|notimestamps|>"]
    special = {name: 256 + i for i, name in enumerate(names)}
    write_tokenizer(ranks, special, tmp_path)
    tiny_audio_lm.save_whisper(tmp_path, vocab_size=size, max_target_positions=64)
    model = models.build({"family": "whisper", "options": {"max_tokens": 6}}, tmp_path, "encoder")
    assert (
        model.prompt == [special[n] for n in names[1:]]
        and model.stop == 256
        and model.last_text == max(special.values())
    )
    assert_identity(model, *sounds(3))
    assert model.specs[0].shape == (None, 16)
    answers.check(model, measures.likelihood, model.head(sounds(1)[0])[0], {})


def test_the_prompt_never_reads_the_head(tmp_path):
    """With NaN in the head's weights the received prompt still gives the same hidden states."""
    from lamofc.models.causal_lm import _stack_features

    tiny_llama(tmp_path)
    model = models.build({"family": "causal_lm", "options": {"dtype": "float32"}}, tmp_path, "layer2")
    features = model.head(prompts(1, vocabulary=128)[0])
    with torch.inference_mode():
        clean, _ = model.prefill(_stack_features(features))
        for parameter in [*model._layers[:3].parameters(), model.base.embed_tokens.weight]:
            parameter.fill_(float("nan"))
        poisoned, _ = model.prefill(_stack_features(features))
    assert torch.isfinite(clean).all() and torch.equal(clean, poisoned)


@pytest.mark.parametrize("split", ["block12", "block", "blocks3", "blocks5-2", "layer4"])
def test_split_points_that_do_not_exist_are_refused(split):
    from lamofc.models.vit import parse_split

    with pytest.raises(ConfigError, match="split"):
        parse_split(split, 12)


@pytest.mark.parametrize("split", ["layer29", "layer", "block3", "layer-1"])
def test_layers_that_do_not_exist_are_refused(split):
    from lamofc.models.causal_lm import parse_split

    with pytest.raises(ConfigError, match="split"):
        parse_split(split, 30)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_with_a_fix(tmp_path):
    with pytest.raises(ConfigError, match="device: cpu"):
        models.build({"family": "vit", "device": "cuda"}, tmp_path, "block8")
    assert torch.get_default_device().type == "cpu"
