"""A Whisper encoder for windows shorter than 30 s: the first positions alone, as audio_ctx of other ports does."""

from __future__ import annotations

from pathlib import Path

import torch


def cut(source: Path, folder: Path, seconds: int) -> None:
    """Whisper checkpoint -> the encoder with `seconds` x 50 positions, and its feature extractor."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    whole = WhisperModel.from_pretrained(source, local_files_only=True).encoder.state_dict()
    config = WhisperConfig.from_pretrained(source)
    config.max_source_positions = 50 * seconds
    encoder = WhisperEncoder(config)
    positions = "embed_positions.weight"
    encoder.load_state_dict(whole | {positions: whole[positions][: config.max_source_positions].clone()})
    encoder.to(torch.float32).save_pretrained(folder)
    mel = WhisperFeatureExtractor.from_pretrained(source, local_files_only=True)
    WhisperFeatureExtractor(feature_size=mel.feature_size, chunk_length=seconds).save_pretrained(folder)
