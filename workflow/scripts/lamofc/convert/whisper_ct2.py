"""Whisper as a `transformers` model out of CTranslate2 files (float16 weights stored as float32)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lamofc.convert import ConvertError
from lamofc.convert.ct2_reader import read_ct2
from lamofc.convert.whisper_names import heads, layers, state_dict
from lamofc.fetch.unpacked import find_all, find_one

OPTIONS: tuple[str, ...] = ()


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """Write config.json, generation_config.json, model.safetensors, tokenizer and feature-extractor files.

    A model.bin cut into model.bin.part1, .part2 ... is joined in that order.
    """
    weights = read_ct2(b"".join(p.read_bytes() for p in find_all(packages, "model.bin*")))
    if weights.spec != "WhisperSpec":
        raise ConvertError(f"CTranslate2 model is a {weights.spec}, not a WhisperSpec")
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    tokenizer = _tokenizer(find_one(packages, "tokenizer.json"))
    hints = json.loads(find_one(packages, "config.json").read_text())
    model = WhisperForConditionalGeneration(_config(weights, tokenizer))
    model.load_state_dict(state_dict(weights), strict=True)
    model.generation_config = _generation_config(tokenizer, hints, model.config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=model.config.num_mel_bins).save_pretrained(folder)


def _tokenizer(path: Path):
    from transformers import PreTrainedTokenizerFast

    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(tokenizer_file=str(path), bos_token=end, eos_token=end, unk_token=end, pad_token=end)


def _id(tokenizer, token: str) -> int:
    found = tokenizer.get_vocab().get(token)
    if found is None:
        raise ConvertError(f"the Whisper tokenizer has no token {token}")
    return found


def _config(weights, tokenizer):
    from transformers import WhisperConfig

    vocabulary, width = weights["decoder/embeddings/weight"].shape
    end = _id(tokenizer, "<|endoftext|>")
    return WhisperConfig(
        vocab_size=vocabulary, d_model=width, num_mel_bins=weights["encoder/conv1/weight"].shape[1],
        encoder_layers=layers(weights, "encoder"), decoder_layers=layers(weights, "decoder"),
        encoder_attention_heads=heads(weights), decoder_attention_heads=heads(weights),
        encoder_ffn_dim=weights["encoder/layer_0/ffn/linear_0/bias"].shape[0],
        decoder_ffn_dim=weights["decoder/layer_0/ffn/linear_0/bias"].shape[0],
        decoder_start_token_id=_id(tokenizer, "<|startoftranscript|>"),
        bos_token_id=end, eos_token_id=end, pad_token_id=end, suppress_tokens=None, begin_suppress_tokens=None,
        dtype="float32",
    )  # fmt: skip


def _generation_config(tokenizer, hints: Mapping, config):
    """What `generate` needs for English transcription without time stamps, greedily."""
    from transformers import GenerationConfig

    multilingual = config.vocab_size > 51864
    languages = {"lang_to_id": {"<|en|>": _id(tokenizer, "<|en|>")}, "language": "<|en|>", "task": "transcribe",
                 "task_to_id": {"transcribe": _id(tokenizer, "<|transcribe|>")}} if multilingual else {}  # fmt: skip
    return GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id, bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id, max_length=448,
        is_multilingual=multilingual, no_timestamps_token_id=_id(tokenizer, "<|notimestamps|>"),
        return_timestamps=False, suppress_tokens=hints["suppress_ids"],
        begin_suppress_tokens=hints["suppress_ids_begin"], alignment_heads=hints["alignment_heads"], **languages,
    )  # fmt: skip
