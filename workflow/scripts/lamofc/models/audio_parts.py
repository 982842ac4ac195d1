"""Parts of a language model that hears, loaded by configuration: layout, speech encoder, projector, speech tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import WhisperConfig
from transformers.activations import ACT2FN
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from lamofc.errors import ConfigError
from lamofc.jsonio import read_json
from lamofc.models import placing
from lamofc.models.speech_tokens import SpeechTokens
from lamofc.models.token_projector import TokenProjector
from lamofc.models.torch_arrays import torch_dtype

FRAME = 320  # samples of an encoder frame: 50 a second


class Projector(nn.Module):
    """Stack `stack` frames, then Linear - activation - Linear - LayerNorm (the last two where asked for).

    Kimi-Audio's: stack 4, 5120 -> 3584 -> 3584, SiLU, LayerNorm (arXiv:2504.18425).
    """

    def __init__(self, frames: int, width: int, stack: int = 4, hidden: int | None = None, activation: str = "silu",
                 norm_eps: float | None = None) -> None:  # fmt: skip
        super().__init__()
        self.stack = stack
        self.first = nn.Linear(frames * stack, hidden or width)
        self.activation = ACT2FN[activation]
        self.second = nn.Linear(hidden, width) if hidden else nn.Identity()
        self.norm = nn.LayerNorm(width, eps=norm_eps) if norm_eps else nn.Identity()

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(frames, encoder width) -> (frames / stack, model width); frames must be a multiple of `stack`."""
        stacked = frames.reshape(-1, self.first.in_features)
        hidden: Any = self.first(stacked)
        if not isinstance(self.second, nn.Identity):
            hidden = self.second(self.activation(hidden))
        return self.norm(hidden)


def read_layout(weights: Path) -> dict[str, Any]:
    """audio_lm.json; ConfigError unless it has the keys and one piece of sound."""
    layout = read_json(weights / "audio_lm.json")
    keys = {"prompt", "projector", "blank", "gain", "speech_offset", "text_vocabulary", "stop"}
    if missing := sorted(keys - set(layout)):
        raise ConfigError(f"{weights}/audio_lm.json lacks {', '.join(missing)}")
    if sum("sound" in piece for piece in layout["prompt"]) != 1:
        raise ConfigError(f"{weights}/audio_lm.json: prompt must have one piece {{'sound': true}}")
    return layout


def load_encoder(weights: Path, dtype: str, device: str) -> WhisperEncoder:
    """The encoder of a whole Whisper checkpoint."""
    if placing.device_of(device).type == "meta":
        with torch.device("meta"):
            return WhisperEncoder(WhisperConfig.from_pretrained(weights)).to(torch_dtype(dtype)).eval()
    options = {"key_mapping": {r"^model\.encoder\.": ""}, "attn_implementation": "sdpa"}
    return placing.load(WhisperEncoder, weights, dtype, device, **options)


def load_speech_tokens(weights: Path, device: str) -> SpeechTokens:
    """In float32: the nearest code must not depend on the model's dtype."""
    if placing.device_of(device).type == "meta":
        with torch.device("meta"):
            return SpeechTokens(WhisperConfig.from_pretrained(weights)).eval()
    return placing.load(SpeechTokens, weights, "float32", device, attn_implementation="eager")


def load_projector(
    weights: Path, layout: dict[str, Any], encoder: WhisperEncoder, base: torch.nn.Module, dtype: str,
    device: torch.device,
) -> Projector | TokenProjector:  # fmt: skip
    """ConfigError when its file is of another shape than audio_lm.json says."""
    with torch.device("meta"):
        projector = _projector(encoder.config.d_model, base.embed_tokens.embedding_dim, layout["projector"])
    if device.type != "meta":
        try:
            projector.load_state_dict(load_file(weights / "projector.safetensors"), assign=True)
        except RuntimeError as error:
            raise ConfigError(f"{weights}/projector.safetensors: {error}") from error
    return projector.to(device if device.type != "meta" else None, torch_dtype(dtype)).eval()


def _projector(frames: int, width: int, options: dict[str, Any]) -> Projector | TokenProjector:
    return TokenProjector(frames, **options) if "classes" in options else Projector(frames, width, **options)
