"""Names of Whisper weights: CTranslate2 on the left, `transformers` on the right.

CTranslate2 joins the projections of queries, keys and values into one matrix; keys have no bias in
Whisper, so their share of the joint bias is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from lamofc.convert.ct2_reader import Ct2Weights

Named = Iterator[tuple[str, np.ndarray]]


def layers(weights: Ct2Weights, side: str) -> int:
    numbered = re.compile(rf"{side}/layer_(\d+)/")
    return len({found[1] for name in weights.tensors if (found := numbered.match(name))})


def heads(weights: Ct2Weights) -> int:
    return int(weights["encoder/num_heads"])


def state_dict(weights: Ct2Weights):
    """All weights of `WhisperForConditionalGeneration` as float32 torch tensors."""
    import torch

    named = dict(_conv(weights))
    for side in ("encoder", "decoder"):
        named |= dict(_side(weights, side))
    named["model.decoder.embed_tokens.weight"] = weights["decoder/embeddings/weight"]
    named["proj_out.weight"] = named["model.decoder.embed_tokens.weight"]
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in named.items()}


def _conv(weights: Ct2Weights) -> Named:
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            yield f"model.encoder.{conv}.{part}", weights[f"encoder/{conv}/{part}"]


def _side(weights: Ct2Weights, side: str) -> Named:
    target = f"model.{side}"
    yield f"{target}.embed_positions.weight", weights[f"{side}/position_encodings/encodings"]
    yield from _norm(weights, f"{side}/layer_norm", f"{target}.layer_norm")
    for i in range(layers(weights, side)):
        yield from _layer(weights, f"{side}/layer_{i}", f"{target}.layers.{i}", cross=side == "decoder")


def _layer(weights: Ct2Weights, source: str, target: str, cross: bool) -> Named:
    yield from _joint(weights, f"{source}/self_attention/linear_0", f"{target}.self_attn", "qkv")
    yield from _linear(weights, f"{source}/self_attention/linear_1", f"{target}.self_attn.out_proj")
    yield from _norm(weights, f"{source}/self_attention/layer_norm", f"{target}.self_attn_layer_norm")
    if cross:
        yield from _linear(weights, f"{source}/attention/linear_0", f"{target}.encoder_attn.q_proj")
        yield from _joint(weights, f"{source}/attention/linear_1", f"{target}.encoder_attn", "kv")
        yield from _linear(weights, f"{source}/attention/linear_2", f"{target}.encoder_attn.out_proj")
        yield from _norm(weights, f"{source}/attention/layer_norm", f"{target}.encoder_attn_layer_norm")
    yield from _linear(weights, f"{source}/ffn/linear_0", f"{target}.fc1")
    yield from _linear(weights, f"{source}/ffn/linear_1", f"{target}.fc2")
    yield from _norm(weights, f"{source}/ffn/layer_norm", f"{target}.final_layer_norm")


def _linear(weights: Ct2Weights, source: str, target: str) -> Named:
    yield f"{target}.weight", weights[f"{source}/weight"]
    yield f"{target}.bias", weights[f"{source}/bias"]


def _joint(weights: Ct2Weights, source: str, target: str, letters: str) -> Named:
    matrices = np.split(weights[f"{source}/weight"], len(letters))
    biases = np.split(weights[f"{source}/bias"], len(letters))
    for letter, matrix, bias in zip(letters, matrices, biases, strict=True):
        yield f"{target}.{letter}_proj.weight", matrix
        if letter != "k":
            yield f"{target}.{letter}_proj.bias", bias


def _norm(weights: Ct2Weights, source: str, target: str) -> Named:
    yield f"{target}.weight", weights[f"{source}/gamma"]
    yield f"{target}.bias", weights[f"{source}/beta"]
