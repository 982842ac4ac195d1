"""Causal language models and their tokenizers out of GGUF files: llama (SmolLM2) and gemma3.

Another architecture is one more row of ARCHITECTURES. Weights stay float32 unless asked otherwise: a 4-bit block
value is scale x level + minimum with float16 scale and minimum, which neither bfloat16 nor float16 holds exactly.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lamofc.convert import ConvertError
from lamofc.fetch.unpacked import find_all

OPTIONS: tuple[str, ...] = ("dtype",)

_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_IN_GEMMA_LAYER = _IN_LAYER | {
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def build(packages: Mapping[str, Path], folder: Path, dtype: str = "float32") -> None:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer files.

    A file cut into .gguf.part00, .part01 ... is joined in that order.
    """
    with _whole(find_all(packages, "*.gguf*"), folder.parent) as source:
        import torch
        from gguf import GGUFReader
        from transformers import AutoModelForCausalLM, AutoTokenizer

        reader = GGUFReader(source)
        architecture = _architecture(field(reader, "general.architecture"))
        config = architecture.config(reader)
        model = AutoModelForCausalLM.from_config(config)
        weights = {name: torch.from_numpy(array) for name, array in _weights(reader, architecture, config)}
        model.load_state_dict(_tied(weights))
        model.to(getattr(torch, dtype)).save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, local_files_only=True)
        tokenizer.save_pretrained(folder)


def tokenizer_of(packages: Mapping[str, Path]):
    """The tokenizer of a .gguf file that is whole."""
    from transformers import AutoTokenizer

    (source,) = find_all(packages, "*.gguf")
    return AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, local_files_only=True)


@contextmanager
def _whole(parts: list[Path], work: Path) -> Iterator[Path]:
    """The one file, or the parts joined in a folder that goes away. ConvertError unless it is a GGUF file."""
    with tempfile.TemporaryDirectory(prefix=".joined.", dir=work) as folder:
        source = parts[0]
        if len(parts) > 1:
            source = Path(folder) / parts[0].name.rsplit(".part", 1)[0]
            with source.open("wb") as target:
                for part in parts:
                    with part.open("rb") as file:
                        shutil.copyfileobj(file, target)
        with source.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ConvertError(f"{parts[0]} is not a GGUF file; fetch the package again")
        yield source


class Architecture(NamedTuple):
    """How a GGUF architecture maps to transformers."""

    config: Callable[[Any], Any]
    in_layer: Mapping[str, str]
    array: Callable[
        [str, np.ndarray, Any], np.ndarray
    ]  # (GGUF name, values, config) -> values as transformers has them


def _architecture(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        raise ConvertError(f"GGUF file holds a {name!r} model; known are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def _llama_config(reader: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(**_common(reader, "llama"), rope_theta=field(reader, "llama.rope.freq_base"))


def _gemma_config(reader: Any) -> Any:
    """Five layers of sliding attention to one of global attention, each with its own rotary base."""
    from transformers import Gemma3TextConfig

    get = lambda name: field(reader, f"gemma3.{name}")  # noqa: E731
    width = get("attention.key_length")
    rope = {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        "full_attention": {"rope_type": "default", "rope_theta": get("rope.freq_base")},
    }
    return Gemma3TextConfig(
        **_common(reader, "gemma3"), head_dim=width, query_pre_attn_scalar=width, rope_parameters=rope,
        sliding_window=get("attention.sliding_window"), sliding_window_pattern=6,
    )  # fmt: skip


def _common(reader: Any, prefix: str) -> dict[str, Any]:
    get = lambda name: field(reader, f"{prefix}.{name}")  # noqa: E731
    return {
        "vocab_size": len(field(reader, "tokenizer.ggml.tokens")),
        "hidden_size": get("embedding_length"),
        "intermediate_size": get("feed_forward_length"),
        "num_hidden_layers": get("block_count"),
        "num_attention_heads": get("attention.head_count"),
        "num_key_value_heads": get("attention.head_count_kv"),
        "max_position_embeddings": get("context_length"),
        "rms_norm_eps": _shortest(get("attention.layer_norm_rms_epsilon")),
        "tie_word_embeddings": all(t.name != "output.weight" for t in reader.tensors),
        "bos_token_id": field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": field(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": field(reader, "tokenizer.ggml.padding_token_id"),
        "dtype": "float32",
    }


def _shortest(value: float) -> float:
    """The decimal number meant by a float32: 1e-05 instead of 9.99999974e-06."""
    return float(str(np.float32(value)))


def field(reader: Any, name: str) -> Any:
    """A metadata field's value; ConvertError if the file lacks it."""
    found = reader.get_field(name)
    if found is None:
        raise ConvertError(f"GGUF file has no field {name}")
    return found.contents()


def _weights(reader: Any, architecture: Architecture, config: Any) -> Iterator[tuple[str, np.ndarray]]:
    from gguf import dequantize

    for tensor in reader.tensors:
        if tensor.name == "rope_freqs.weight":
            raise ConvertError("GGUF file scales its rotary frequencies, which is not supported")
        array = np.array(dequantize(tensor.data, tensor.tensor_type), np.float32)
        yield rename(tensor.name, architecture.in_layer), architecture.array(tensor.name, array, config)


def rename(name: str, in_layer: Mapping[str, str] = _IN_LAYER) -> str:
    """GGUF tensor name -> transformers parameter name; ConvertError if the architecture has no such tensor."""
    if name in _TOP:
        return _TOP[name]
    parts = name.split(".")  # blk.<layer>.<what>.weight
    if len(parts) != 4 or parts[0] != "blk" or parts[2] not in in_layer:
        raise ConvertError(f"GGUF file has a tensor {name!r} that its architecture does not have")
    return f"model.layers.{parts[1]}.{in_layer[parts[2]]}.{parts[3]}"


def unpermute(name: str, array: np.ndarray, config: Any) -> np.ndarray:
    """Llama GGUF interleaves the two halves that rotary embedding pairs up; transformers keeps them apart."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is None:
        return array
    return np.array(array.reshape(heads, array.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(array.shape))


def centre_norms(name: str, array: np.ndarray, config: Any) -> np.ndarray:
    """Gemma GGUF holds the factors of its norms; transformers what they are above 1."""
    return array - 1 if name.endswith("norm.weight") else array


def _tied(weights: dict[str, Any]) -> dict[str, Any]:
    return {"lm_head.weight": weights["model.embed_tokens.weight"]} | weights


ARCHITECTURES = {
    "llama": Architecture(_llama_config, _IN_LAYER, unpermute),
    "gemma3": Architecture(_gemma_config, _IN_GEMMA_LAYER, centre_norms),
}
