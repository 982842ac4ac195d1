"""Random-weight miniatures of language models that hear: Kimi-Audio as its hub repository holds it, and a plain one."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

SPECIAL = ["[BOS]", "[EOS]", "<|im_msg_end|>", "<|im_media_begin|>", "<|im_media_end|>", "<|im_kimia_text_blank|>",
           "<|im_kimia_text_eos|>", "<|im_kimia_user_msg_start|>", "<|im_kimia_assistant_msg_start|>",
           "<|im_kimia_speech_ct_id|>"]  # fmt: skip
PAIRS = ["th", "the", " th", " the", "an", "and", " and", "é".encode()]
RANKS = {bytes([b]): b for b in range(256)} | {
    (p if isinstance(p, bytes) else p.encode()): 256 + i for i, p in enumerate(PAIRS)
}
OFFSET = 288  # first speech token of the miniature


def whisper_config(**more):
    from transformers import WhisperConfig

    sizes = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
             "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "num_mel_bins": 16,
             "vocab_size": 64, "max_source_positions": 1500, "max_target_positions": 16, "pad_token_id": 0,
             "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}  # fmt: skip
    return WhisperConfig(**sizes | more)


def save_whisper(folder: Path, **more) -> None:
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    WhisperForConditionalGeneration(whisper_config(**more)).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=16).save_pretrained(folder)


def save_speech_tokens(folder: Path) -> None:
    """With the layers, positions and averages behind the codebook that the published file has and nothing reads."""
    from transformers import WhisperFeatureExtractor

    from lamofc.models.speech_tokens import SpeechTokens

    quantiser = {"quantize_position": 2, "quantize_vocab_size": 32, "quantize_causal_block_size": 200,
                 "pooling_kernel_size": 4, "pooling_position": 2, "init_std": 0.5}  # fmt: skip
    net = SpeechTokens(whisper_config(**quantiser))
    torch.nn.init.normal_(net.codebook.weight, std=2.5)
    torch.nn.init.normal_(net.embed_positions.weight, std=5)  # so that tokens differ
    net.save_pretrained(folder)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    rest = {
        "embed_positions2.weight": torch.zeros(4, 16),
        "ema_count": torch.zeros(32),
        "ema_weight": torch.zeros(32, 16),
    }
    save_file(state | rest | {"layers.7.fc1.bias": torch.zeros(32)}, folder / "model.safetensors", {"format": "pt"})
    WhisperFeatureExtractor(feature_size=16).save_pretrained(folder)


def save_kimi(folder: Path) -> dict[str, Path]:
    """The two repositories, with the names, the second decoder and the separate output head of the published files."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 320, "hidden_act": "silu", "max_position_embeddings": 8192,
             "rms_norm_eps": 1e-6}  # fmt: skip
    net = Qwen2ForCausalLM(Qwen2Config(**sizes, tie_word_embeddings=False, initializer_range=0.3))
    state = dict(net.state_dict())
    for number, shape in ((0, (32, 64)), (3, (32, 32)), (4, (32,))):
        state[f"model.vq_adaptor.layers.{number}.weight"] = torch.randn(shape) / 4
        state[f"model.vq_adaptor.layers.{number}.bias"] = torch.randn(32) / 4
    state |= {"model.mimo_layers.0.mlp.up_proj.weight": torch.zeros(48, 32), "model.mimo_norm.weight": torch.zeros(32),
              "mimo_output.weight": torch.zeros(320, 32)}  # fmt: skip
    model, speech = folder / "kimi", folder / "speech"
    save_whisper(model / "whisper-large-v3")
    save_speech_tokens(speech)
    names = sorted(state)
    shards = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for name, keys in shards.items():
        save_file({k: state[k].clone() for k in keys}, model / name, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {k: name for name, keys in shards.items() for k in keys}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    config = sizes | {"model_type": "moonshot_kimia", "rope_theta": 1e6, "kimia_adaptor_input_dim": 64,
                      "kimia_text_output_vocab": OFFSET, "kimia_token_offset": OFFSET}  # fmt: skip
    (model / "config.json").write_text(json.dumps(config))
    lines = (f"{base64.b64encode(token).decode()} {rank}" for token, rank in RANKS.items())
    (model / "tiktoken.model").write_text("\n".join(lines))
    added = {str(len(RANKS) + i): {"content": name} for i, name in enumerate(SPECIAL)}
    (model / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    return {"kimi": model, "speech": speech}


def save_small(folder: Path) -> Path:
    """Whisper encoder, one linear projector over two stacked frames, Llama: no discrete tokens, no blanks."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from lamofc.convert.tiktoken_bpe import write_tokenizer

    torch.manual_seed(1)
    config = LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
                         num_key_value_heads=2, vocab_size=320, initializer_range=0.3)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "trunk")
    special = {name: len(RANKS) + i for i, name in enumerate(["<|im_start|>", "<|im_end|>"])}
    write_tokenizer(RANKS, special, folder / "trunk")
    save_whisper(folder / "encoder")
    save_file(
        {"first.weight": torch.randn(32, 32) / 4, "first.bias": torch.zeros(32)}, folder / "projector.safetensors"
    )
    layout = {"prompt": [{"text": "<|im_start|>user\n"}, {"sound": True}, {"text": "{text}<|im_end|>\n<|im_start|>"}],
              "projector": {"stack": 2}, "blank": None, "gain": 1, "speech_offset": None, "text_vocabulary": 320,
              "stop": [special["<|im_end|>"]]}  # fmt: skip
    (folder / "audio_lm.json").write_text(json.dumps(layout))
    return folder
