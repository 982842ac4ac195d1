"""Kimi-Audio as its hub repository holds it -> the folder that `lamofc.models.audio_lm` loads.

The checkpoint's names are those of a Qwen2 causal language model beside an adaptor (`model.vq_adaptor.*`) and a
second decoder for speech (`model.mimo_*`, `mimo_output.*`), which text needs no part of.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from lamofc.convert.hub_folder import link
from lamofc.convert.tiktoken_bpe import PATTERN, read_ranks, write_tokenizer
from lamofc.errors import FetchError
from lamofc.fetch.unpacked import find_all, find_one
from lamofc.jsonio import write_json

OPTIONS: dict[str, object] = {}
TRUNK = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
         "hidden_act", "max_position_embeddings", "rms_norm_eps", "vocab_size")  # fmt: skip
ADAPTOR = {"model.vq_adaptor.layers.0": "first", "model.vq_adaptor.layers.3": "second",
           "model.vq_adaptor.layers.4": "norm"}  # fmt: skip
STOP = ("<|im_kimia_text_eos|>", "<|im_msg_end|>", "[EOS]")


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """Weights are linked; the adaptor's few are copied into projector.safetensors.

    packages: the model's repository, and that of its speech tokenizer (config.json with quantize_vocab_size).
    """
    published = find_config(packages, "kimia_adaptor_input_dim")
    speech = find_config(packages, "quantize_vocab_size")
    config = json.loads(published.read_text())
    for name in ("trunk", "encoder", "speech_tokens"):
        (folder / name).mkdir()
    link(published.parent / "whisper-large-v3", folder / "encoder")
    link(speech.parent, folder / "speech_tokens")
    _trunk(published.parent, config, folder / "trunk")
    _adaptor(published.parent, folder)
    tokens = json.loads((published.parent / "tokenizer_config.json").read_text())
    special = {entry["content"]: int(number) for number, entry in tokens["added_tokens_decoder"].items()}
    ranks = read_ranks(find_one(packages, "tiktoken.model"))
    write_tokenizer(ranks, special, folder / "trunk", tokens.get("pat_str", PATTERN))
    write_json(folder / "audio_lm.json", layout(config, special))


def find_config(packages: Mapping[str, Path], key: str) -> Path:
    """The config.json that has a key."""
    for path in find_all(packages, "config.json"):
        if key in json.loads(path.read_text()):
            return path
    raise FetchError(f"no config.json of {', '.join(packages)} has the key {key}; fetch the packages again")


def trunk_config(config: Mapping[str, object]) -> dict[str, object]:
    """config.json of the language model as a Qwen2, whose layers it has: biases on queries, keys and values."""
    rope = {"rope_type": "default", "rope_theta": config["rope_theta"]}
    return {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": False,
            "rope_parameters": rope, **{k: config[k] for k in TRUNK}}  # fmt: skip


def layout(config: Mapping[str, object], special: Mapping[str, int]) -> dict[str, object]:
    """audio_lm.json: one user turn of text, then sound, and the start of the answer; text is what comes back."""
    return {
        "prompt": [
            {"audio": "<|im_kimia_user_msg_start|>"},
            {"text": "{text}"},
            {"audio": "<|im_media_begin|>"},
            {"sound": True},
            {"audio": "<|im_media_end|>"},
            {"audio": "<|im_kimia_speech_ct_id|>"},
            {"audio": "<|im_msg_end|>"},
            {"audio": "<|im_kimia_assistant_msg_start|>"},
        ],
        "projector": {"stack": 4, "hidden": config["hidden_size"], "activation": "silu",
                      "norm_eps": config["rms_norm_eps"]},
        "blank": special["<|im_kimia_text_blank|>"],
        "gain": math.sqrt(2),
        "speech_offset": config["kimia_token_offset"],
        "text_vocabulary": config["kimia_text_output_vocab"],
        "stop": [special[name] for name in STOP],
    }  # fmt: skip


def _trunk(source: Path, config: Mapping[str, object], folder: Path) -> None:
    write_json(folder / "config.json", trunk_config(config))
    for path in [*source.glob("*.safetensors"), *source.glob("*.safetensors.index.json")]:
        (folder / path.name).symlink_to(path.resolve())


def _adaptor(source: Path, folder: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    found = {}
    for path in sorted(source.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118  (no mapping)
                module, _, leaf = key.rpartition(".")
                if module in ADAPTOR:
                    found[f"{ADAPTOR[module]}.{leaf}"] = file.get_tensor(key)
    if len(found) != 2 * len(ADAPTOR):
        raise FetchError(
            f"{source}: {len(found)} of the adaptor's {2 * len(ADAPTOR)} tensors are there; fetch it again"
        )
    save_file(found, folder / "projector.safetensors")
