"""Language models that hear: speech encoder, projector, causal language model, cut inside the language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, WhisperFeatureExtractor

from lamofc.interfaces import Sample
from lamofc.models import causal_lm
from lamofc.models.audio_parts import FRAME as SAMPLES_PER_FRAME
from lamofc.models.audio_parts import load_encoder, load_projector, load_speech_tokens, read_layout
from lamofc.models.decoding import kind
from lamofc.models.token_projector import TokenProjector
from lamofc.models.torch_arrays import map_batches

RATE = 16000


class Model(causal_lm.Model):
    """Head: encoder, projector, embeddings and decoder layers 0..l. Tail: layers l+1.. and greedy text.

    Features are those of `causal_lm`, over fused positions: what crosses is `output` (tokens, width) after layer l
    and keys and values of layers 0..l. Side: how many tokens it may make, where less than `max_tokens`, or options.

    The folder of weights holds `trunk/` (a causal language model and its tokenizer), `encoder/` (Whisper),
    `projector.safetensors`, `speech_tokens/` where the model reads discrete tokens too, and `audio_lm.json`:
      prompt     pieces in order: {"text": "... {before} {text} {start}"}, {"audio": token of the audio stream},
                 {"sound": true}
      projector  options of `audio_parts.Projector`, or with `classes` of `token_projector.TokenProjector`
      blank      token that fills the stream which says nothing at a position; null: that stream adds nothing
      gain       factor on the sum of discrete and continuous audio embedding
      speech_offset  id of speech token 0; null: no discrete speech tokens
      text_vocabulary, stop  ids below the first are text; ids that end it
    At every position the input is E[audio token] + E[text token], at positions of sound (E[audio token] +
    projector(encoder frames)) x gain + E[text token]: Kimi-Audio's fusion, and with `blank` null plain insertion.
    """

    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str | None = None,
        readout_weights: Path | None = None,
        dtype: str = "bfloat16",
        batch: int = 8,
        device: str = "cpu",
        device_map: Any = None,
        max_tokens: int = 100,
        heard_dtype: str | None = None,
    ) -> None:
        """heard_dtype: of encoder and projector, where another than the language model's."""
        weights = Path(weights)
        super().__init__(weights / "trunk", split, dtype=dtype, batch=batch, device=device, device_map=device_map)
        self.layout, self.max_tokens = read_layout(weights), max_tokens
        self.encoder = load_encoder(weights / "encoder", heard_dtype or dtype, str(self.device))
        self.projector = load_projector(
            weights, self.layout, self.encoder, self.base, heard_dtype or dtype, self.device
        )
        self.speech = None
        if self.layout["speech_offset"] is not None:
            self.speech = load_speech_tokens(weights / "speech_tokens", str(self.device))
        if self.device.type != "meta":  # shapes alone need no sound and no text
            self.tokenizer = AutoTokenizer.from_pretrained(weights / "trunk", local_files_only=True)
            self.mel = WhisperFeatureExtractor.from_pretrained(weights / "encoder", local_files_only=True)
            speech = weights / ("speech_tokens" if self.speech else "encoder")
            self.speech_mel = WhisperFeatureExtractor.from_pretrained(speech, local_files_only=True)

    def head(self, inputs: Sequence[dict[str, Any]]) -> list[Sample]:
        """inputs: {"audio": float32 (samples,) at 16 kHz, "text": the instruction beside the sound, "before": text
        before it, "start": of the answer; all may be empty}."""
        return map_batches(self._ready(inputs), self._positions, self.batch, self._head)

    def tail(self, features: Sequence[Sample], side: Sequence[dict[str, Any]]) -> list[Any]:
        """side: {} or {"max_new_tokens"} -> greedy texts; {"options": lists of token ids} -> as in `causal_lm`."""
        return self._texts(super().tail(features, list(map(self._side, side))))

    def unsplit(self, inputs: Sequence[dict[str, Any]], side: Sequence[dict[str, Any]]) -> list[Any]:
        pairs = list(zip(self._ready(inputs), map(self._side, side), strict=True))
        key = lambda pair: (self._positions(pair[0]), kind(pair[1]))  # noqa: E731
        return self._texts(map_batches(pairs, key, self.batch, self._unsplit))

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        return super().last_feature(received, list(map(self._side, side)))

    def held(self, received: dict[str, torch.Tensor], side: dict[str, Any]) -> dict[str, Any]:
        return super().held(received, self._side(side))

    def scores(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        return super().scores(received, list(map(self._side, side)))

    def _side(self, side: dict[str, Any]) -> dict[str, Any]:
        if "options" in side or "written" in side:
            return side
        most = min(side.get("max_new_tokens", self.max_tokens), self.max_tokens)
        return {"max_new_tokens": most, "stop": self.layout["stop"]}

    def _texts(self, answers: list[dict[str, np.ndarray]]) -> list[Any]:
        return [answer if "choice" in answer else self._text(answer["tokens"].tolist()) for answer in answers]

    def _text(self, tokens: list[int]) -> str:
        said = [t for t in tokens if t not in self.layout["stop"]]
        return self.tokenizer.decode(said, skip_special_tokens=True).strip()

    def parts(self) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
        head, tail = super().parts()
        return [*head, self.encoder, self.projector, *([self.speech] if self.speech else [])], tail

    def blank_sound(self) -> list[tuple[torch.nn.Module, torch.Tensor]]:
        """What encoder, projector and speech tokens read of one window, without content: their work is counted so."""
        bins, frames = self.encoder.config.num_mel_bins, self.encoder.config.max_source_positions
        options = {"dtype": self.encoder.dtype, "device": self.device}
        read = [(self.encoder, torch.empty(1, bins, 2 * frames, **options)),
                (self.projector, torch.empty(frames, self.encoder.config.d_model, **options))]  # fmt: skip
        mel = torch.empty(1, bins, 2 * frames, device=self.device)
        return read + ([(self.speech, mel)] if self.speech else [])

    def _own(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """After the prompt the audio stream is silent."""
        return {"inputs_embeds": self._fuse(None, ids.to(self.device))}

    def _logprobs(self, hidden: torch.Tensor) -> torch.Tensor:
        """Of text alone: the head also has rows for tokens of sound."""
        logits = self.net.get_output_embeddings()(hidden)[..., : self.layout["text_vocabulary"]]
        return logits.float().log_softmax(-1)

    def _prompt(self, inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return {"inputs_embeds": torch.cat([i["embeds"] if "embeds" in i else self._embed(i) for i in inputs])}

    @torch.inference_mode()
    def _ready(self, inputs: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """Inputs with their fused positions, where only the sound itself tells how many there are."""
        if not isinstance(self.projector, TokenProjector):
            return inputs
        return [{"embeds": self._embed(i)} for i in inputs]

    def _embed(self, item: dict[str, Any]) -> torch.Tensor:
        """One sample's fused positions (1, positions, width)."""
        pieces = []
        for piece in self.layout["prompt"]:
            if "sound" in piece:
                pieces.append(self._sound(item["audio"]))
            elif "audio" in piece:
                pieces.append(self._fuse(self._ids([self.tokenizer.convert_tokens_to_ids(piece["audio"])]), None))
            elif ids := self._text_ids(piece["text"], item):
                pieces.append(self._fuse(None, self._ids(ids)))
        return torch.cat(pieces, 1)

    def _sound(self, audio: np.ndarray) -> torch.Tensor:
        continuous = self.project(self.encode(audio))[None]
        if self.speech is None:
            return self._fuse(None, None, continuous)
        return self._fuse(self._ids(self.speech_ids(audio)), None, continuous)

    def project(self, frames: torch.Tensor) -> torch.Tensor:
        """(frames, encoder width) -> (positions, width) in the language model's dtype."""
        table = [self.base.embed_tokens.weight] if isinstance(self.projector, TokenProjector) else []
        return self.projector(frames, *table).to(self.base.embed_tokens.weight.dtype)

    def _fuse(self, audio: torch.Tensor | None, text: torch.Tensor | None, sound: torch.Tensor | None = None):
        """Token ids of the two streams (batch, positions) or None where a stream is blank -> embeddings."""
        shape = next(t for t in (audio, text, sound) if t is not None).shape[:2]
        heard, said = self._stream(audio, shape), self._stream(text, shape)
        if sound is not None:
            heard = (sound if heard is None else heard + sound) * self.layout["gain"]
        return said if heard is None else heard if said is None else heard + said

    def _stream(self, ids: torch.Tensor | None, shape: torch.Size) -> torch.Tensor | None:
        if ids is None and self.layout["blank"] is None:
            return None
        return self.base.embed_tokens(self._ids([[self.layout["blank"]] * shape[1]] * shape[0]) if ids is None else ids)

    def encode(self, audio: np.ndarray) -> torch.Tensor:
        """Encoder frames (frames, width) of the part of each window that holds sound, a multiple of the stack."""
        frames = []
        for window in self._windows(audio):
            mel = self.mel(window, sampling_rate=RATE, return_tensors="pt").input_features
            states = self.encoder(mel.to(self.device, self.encoder.dtype)).last_hidden_state[0]
            frames.append(states[: self._tokens(window) * self.projector.stack])
        return torch.cat(frames)

    def speech_ids(self, audio: np.ndarray) -> list[int]:
        """Discrete speech tokens as ids of the language model, as many as the projector gives positions."""
        ids = []
        for window in self._windows(audio):
            options = {"padding": "longest", "pad_to_multiple_of": 4 * SAMPLES_PER_FRAME, "return_tensors": "pt"}
            mel = self.speech_mel(window, sampling_rate=RATE, **options).input_features.to(self.device)
            ids += (self.speech(mel) + self.layout["speech_offset"]).tolist()
        return ids

    def _tokens(self, window: np.ndarray) -> int:
        return math.ceil(len(window) / (SAMPLES_PER_FRAME * self.projector.stack))

    def _positions(self, item: dict[str, Any]) -> int:
        """Length of the fused prompt: samples of equal length share a batch."""
        if "embeds" in item:
            return item["embeds"].shape[1]
        text = [p for p in self.layout["prompt"] if "text" in p]
        rest = len(self.layout["prompt"]) - len(text) - 1
        sound = sum(map(self._tokens, self._windows(item["audio"])))
        return rest + sound + sum(len(self._text_ids(p["text"], item)) for p in text)

    def _text_ids(self, template: str, item: dict[str, Any]) -> list[int]:
        text = template
        for key in ("before", "text", "start"):
            text = text.replace(f"{{{key}}}", item.get(key, ""))
        return self.tokenizer(text, add_special_tokens=False).input_ids if text else []

    def _ids(self, ids: Any) -> torch.Tensor:
        """(positions,) or (batch, positions) -> int64 (batch, positions) on the device."""
        return torch.atleast_2d(torch.as_tensor(ids, dtype=torch.int64)).to(self.device)

    def _windows(self, audio: np.ndarray) -> list[np.ndarray]:
        """Pieces as long as the encoder's window."""
        size = self.encoder.config.max_source_positions * SAMPLES_PER_FRAME
        return [audio[start : start + size] for start in range(0, max(1, len(audio)), size)]
