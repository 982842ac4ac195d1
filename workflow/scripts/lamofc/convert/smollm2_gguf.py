"""SmolLM2 (Llama family) and its tokenizer out of a GGUF file.

The weights stay float32: a 4-bit block value is scale x level + minimum with float16 scale and
minimum, which neither bfloat16 nor float16 holds exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.convert import ConvertError
from lamofc.fetch.unpacked import find_one

OPTIONS: tuple[str, ...] = ()

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


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer files."""
    source = find_one(packages, "*.gguf")
    with source.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ConvertError(f"{source} is not a GGUF file; fetch the package again")
    import torch
    from gguf import GGUFReader
    from transformers import AutoTokenizer, LlamaForCausalLM

    reader = GGUFReader(source)
    config = _config(reader)
    model = LlamaForCausalLM(config)
    weights = {name: torch.from_numpy(np.array(array)) for name, array in _weights(reader, config)}
    model.load_state_dict(_tied(weights))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, local_files_only=True).save_pretrained(folder)


def _config(reader):
    from transformers import LlamaConfig

    architecture = _field(reader, "general.architecture")
    if architecture != "llama":
        raise ConvertError(f"GGUF file holds a {architecture!r} model, not a llama")
    get = lambda name: _field(reader, f"llama.{name}")  # noqa: E731
    return LlamaConfig(
        vocab_size=len(_field(reader, "tokenizer.ggml.tokens")), hidden_size=get("embedding_length"),
        intermediate_size=get("feed_forward_length"), num_hidden_layers=get("block_count"),
        num_attention_heads=get("attention.head_count"), num_key_value_heads=get("attention.head_count_kv"),
        max_position_embeddings=get("context_length"), rms_norm_eps=_shortest(get("attention.layer_norm_rms_epsilon")),
        rope_theta=get("rope.freq_base"), tie_word_embeddings=all(t.name != "output.weight" for t in reader.tensors),
        bos_token_id=_field(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=_field(reader, "tokenizer.ggml.eos_token_id"),
        pad_token_id=_field(reader, "tokenizer.ggml.padding_token_id"), dtype="float32",
    )  # fmt: skip


def _shortest(value: float) -> float:
    """The decimal number meant by a float32: 1e-05 instead of 9.99999974e-06."""
    return float(str(np.float32(value)))


def _field(reader, name: str):
    field = reader.get_field(name)
    if field is None:
        raise ConvertError(f"GGUF file has no field {name}")
    return field.contents()


def _weights(reader, config):
    from gguf import dequantize

    for tensor in reader.tensors:
        array = np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
        if tensor.name == "rope_freqs.weight":
            raise ConvertError("GGUF file scales its rotary frequencies, which is not supported")
        yield _rename(tensor.name), _unpermute(tensor.name, array, config)


def _rename(name: str) -> str:
    if name in _TOP:
        return _TOP[name]
    parts = name.split(".")  # blk.<layer>.<what>.weight
    if len(parts) != 4 or parts[0] != "blk" or parts[2] not in _IN_LAYER:
        raise ConvertError(f"GGUF file has a tensor {name!r} that a llama does not have")
    return f"model.layers.{parts[1]}.{_IN_LAYER[parts[2]]}.{parts[3]}"


def _unpermute(name: str, array: np.ndarray, config) -> np.ndarray:
    """GGUF interleaves the two halves that rotary embedding pairs up; transformers keeps them apart."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is None:
        return array
    return array.reshape(heads, array.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(array.shape)


def _tied(weights):
    return {"lm_head.weight": weights["model.embed_tokens.weight"]} | weights
