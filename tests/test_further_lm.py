"""A further causal language model with a KV cache comes in by config rows: Gemma 3, sliding and global attention."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from test_models import assert_identity, prompts, tiny_gemma, tiny_llama

from lamofc import models, tasks
from lamofc.config import Plan
from lamofc.convert import ConvertError, convert
from lamofc.convert.causal_lm_gguf import _IN_GEMMA_LAYER, _IN_LAYER, _TOP
from lamofc.jsonio import read_lines
from lamofc.stages.extract import extract
from lamofc.store import FeatureReader

ROOT = Path(__file__).parents[1]
VOCABULARY = 128


def gguf_file(net, path: Path, architecture: str) -> None:
    """Write a transformers model as llama.cpp's converter does: its names, its order of rotary rows, its norms."""
    import gguf

    config = net.config
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(getattr(config, "head_dim", config.hidden_size // config.num_attention_heads))
    gemma = architecture == "gemma3"
    writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"] if gemma else 10000.0)
    if gemma:
        writer.add_sliding_window(config.sliding_window)
    add_tokenizer(writer)
    names = {v: k for k, v in _TOP.items()}
    inside = {v: k for k, v in (_IN_GEMMA_LAYER if gemma else _IN_LAYER).items()}
    for name, tensor in net.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = tensor.float().numpy()
        if name not in names:
            layer, what = name.removeprefix("model.layers.").removesuffix(".weight").split(".", 1)
            names[name] = f"blk.{layer}.{inside[what]}.weight"
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        if heads and not gemma:
            array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(names[name], np.ascontiguousarray(array + 1 if gemma and "norm" in name else array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer) -> None:
    """Single characters; the first four are special."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    letters = ["\u2581", *(chr(c) for c in range(33, 127))]
    tokens = special + letters + [f"<unused{i}>" for i in range(VOCABULARY - len(special) - len(letters))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) for i in range(VOCABULARY)])
    writer.add_token_types([3] * 4 + [1] * (VOCABULARY - 4))
    for add, number in (("pad", 0), ("eos", 1), ("bos", 2), ("unk", 3)):
        getattr(writer, f"add_{add}_token_id")(number)


@pytest.fixture(params=["llama", "gemma3"])
def pair(request, tmp_path):
    """A tiny model of random weights, and what the converter makes of its GGUF file cut in three."""
    from transformers import AutoModelForCausalLM

    {"llama": tiny_llama, "gemma3": tiny_gemma}[request.param](tmp_path / "origin")
    net = AutoModelForCausalLM.from_pretrained(tmp_path / "origin").eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "norm" in name:
                parameter += torch.rand_like(parameter)
    gguf_file(net, tmp_path / "whole.bin", request.param)
    content, parts = (tmp_path / "whole.bin").read_bytes(), tmp_path / "package/data"
    parts.mkdir(parents=True)
    for i in range(3):
        step = len(content) // 3 + 1
        (parts / f"tiny.gguf.part0{i}").write_bytes(content[i * step : (i + 1) * step])
    return net, convert("causal_lm_gguf", {"p": tmp_path / "package"}, tmp_path / "model")


def test_converted_files_are_the_model_they_came_from(pair):
    from transformers import AutoModelForCausalLM

    net, folder = pair
    again = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.tensor(np.random.default_rng(0).integers(4, VOCABULARY, (2, 40)))
    with torch.inference_mode():
        assert torch.allclose(again(ids).logits, net(ids).logits, atol=1e-4)


ITEMS = [
    {"id": f"{p[0]}{i}", "part": p, "question": f"{i}?", "prompt": f"{i} is", "options": [" a", " b"], "answer": i % 2,
     "working": f"{i}"} for p in ("calibration", "test") for i in range(4)
]  # fmt: skip


@pytest.mark.parametrize("task", ["choice", "letter", "number"])
def test_it_is_a_row_of_models_and_one_of_scenarios(pair, task, tmp_path):
    _, folder = pair
    data = tmp_path / "data"
    data.mkdir()
    (data / "items.jsonl").write_text("".join(json.dumps(i) + "\n" for i in ITEMS))
    (data / "dataset.json").write_text('{"chance": 0.5}')
    row, model_row = plan_rows(tmp_path, task)
    extract(row, model_row, folder, data, None, tmp_path / "features")
    model = models.build(model_row, folder, row["split"])
    features, lines = (
        list(FeatureReader(tmp_path / "features/test.zarr")),
        list(read_lines(tmp_path / "features/test.jsonl")),
    )
    outputs = model.tail(features, [line["side"] for line in lines])
    for output, line in zip(outputs, lines, strict=True):
        assert all(np.array_equal(output[k], line["output"][k]) for k in output)
    assert 0 <= tasks.build(task, data, folder).outcome(outputs[0], lines[0]["truth"])["correct"] <= 1


def plan_rows(folder: Path, task: str):
    """The rows of a plan whose tables gained one row each."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    table = yaml.safe_load((ROOT / "config/models.yaml").read_text())
    table["further"] = table["smollm2-135m"] | {"title": "Further", "options": {"dtype": "float32"}}
    (folder / "models.yaml").write_text(yaml.safe_dump(table))
    scenarios = (ROOT / "config/scenarios.tsv").read_text()
    values = [
        "further",
        "CLU",
        "capitals",
        "arc-challenge",
        "further",
        "layer3",
        "capitals-choice",
        task,
        "-",
        "4",
        "4",
    ]
    (folder / "scenarios.tsv").write_text(scenarios + "\t".join(values) + "\n")
    changed = {"models": str(folder / "models.yaml"), "scenarios": str(folder / "scenarios.tsv"), "curves": ["further"]}
    plan = Plan(config | changed, ROOT)
    (row,) = plan.curves.values()
    return row, plan.models[row["model"]]


def test_the_default_run_does_not_fetch_gemma():
    plan = Plan(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)
    assert "gemma3-270m" in plan.models
    assert "gemma3-270m" not in {row["model"] for row in plan.curves.values()}


def test_unknown_architectures_and_damaged_files_are_errors(tmp_path):
    from transformers import AutoModelForCausalLM

    tiny_llama(tmp_path / "origin")
    (tmp_path / "package").mkdir()
    gguf_file(AutoModelForCausalLM.from_pretrained(tmp_path / "origin"), tmp_path / "package/t.gguf", "llama")
    whole = (tmp_path / "package/t.gguf").read_bytes()
    (tmp_path / "package/t.gguf").write_bytes(whole.replace(b"llama", b"lamma", 1).replace(b"llama", b"lamma", 1))
    with pytest.raises(ConvertError, match="lamma"):
        convert("causal_lm_gguf", {"p": tmp_path / "package"}, tmp_path / "model")
    (tmp_path / "package/t.gguf").write_bytes(b"GGML" + whole[4:])
    with pytest.raises(ConvertError, match="not a GGUF"):
        convert("causal_lm_gguf", {"p": tmp_path / "package"}, tmp_path / "model")
    assert not (tmp_path / "model").exists() and not list(tmp_path.glob(".joined*"))


@pytest.mark.slow
@pytest.mark.resources
@pytest.mark.parametrize("split", ["layer4", "layer6"])  # before and after the first layer of global attention
def test_gemma_270m_is_cut_without_a_trace_and_knows_a_capital(split):
    folder = ROOT / "resources/models/gemma3-270m"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: run `snakemake resources/models/gemma3-270m --cores 2`")
    from transformers import AutoTokenizer

    row = yaml.safe_load((ROOT / "config/models.yaml").read_text())["gemma3-270m"]
    model, tokenizer = models.build(row, folder, split), AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert_identity(model, *prompts(4))
    rng = np.random.default_rng(0)
    long = [{"ids": rng.integers(4, 40000, 560)}]  # longer than the sliding window of 512
    greedy = [{"max_new_tokens": 4, "stop": []}]
    assert_identity(model, long, greedy)
    text = "The capital of Italy is Rome.\nThe capital of Germany is Berlin.\nThe capital of France is"
    asked = [{"ids": np.array(tokenizer(text).input_ids)}]
    (answer,) = model.tail(model.head(asked), greedy)
    assert "Paris" in tokenizer.decode(answer["tokens"])
