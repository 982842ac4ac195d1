"""Discrete speech tokens at 12.5 Hz: a Whisper encoder cut in the middle, pooled, and the nearest entry of a codebook.

The tokenizer of GLM-4-Voice (arXiv:2412.02612), which Kimi-Audio reads its sound with beside Whisper's own features.
Written from the paper and the layout of its weights, on the layers of `transformers`; not run on the real weights.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer, WhisperPreTrainedModel


class SpeechTokens(WhisperPreTrainedModel):
    """Causal convolutions, `quantize_position` layers with attention in blocks, mean over `pooling_kernel_size`
    frames, nearest code. config: WhisperConfig with those keys of the published config.json."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        width = config.d_model
        self.conv1 = nn.Conv1d(config.num_mel_bins, width, kernel_size=3)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2)
        self.embed_positions = nn.Embedding(config.max_source_positions, width)
        self.layers = nn.ModuleList([WhisperEncoderLayer(config) for _ in range(config.quantize_position)])
        self.codebook = nn.Embedding(config.quantize_vocab_size, width)
        self.post_init()

    @torch.inference_mode()
    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """One sound's log-mel (1, bins, frames at 100 Hz), frames a multiple of 8 -> token numbers (tokens,)."""
        hidden = nn.functional.gelu(self.conv1(nn.functional.pad(mel, (2, 0))))
        hidden = nn.functional.gelu(self.conv2(nn.functional.pad(hidden, (2, 0)))).transpose(1, 2)
        hidden = hidden + self.embed_positions.weight[: hidden.shape[1]]
        mask = block_mask(hidden.shape[1], self.config.quantize_causal_block_size, hidden)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        pooled = nn.functional.avg_pool1d(hidden.transpose(1, 2), self.config.pooling_kernel_size).transpose(1, 2)
        return torch.cdist(pooled[0].float(), self.codebook.weight.float()).argmin(-1)


def block_mask(frames: int, block: int, like: torch.Tensor) -> torch.Tensor:
    """Additive mask (1, 1, frames, frames): a frame sees its own block and all before it."""
    number = torch.arange(frames, device=like.device) // block
    hidden = number[None, :] > number[:, None]
    return torch.zeros(1, 1, frames, frames, dtype=like.dtype, device=like.device).masked_fill(
        hidden, torch.finfo(like.dtype).min
    )
