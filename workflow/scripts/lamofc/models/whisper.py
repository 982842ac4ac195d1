"""Whisper, cut after the encoder: the frames that hold sound cross, the decoder transcribes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models.torch_arrays import map_batches, to_numpy, to_torch, torch_dtype

FRAMES_PER_SECOND = 50


class Model:
    """Head: log-mel and encoder over the 30 s window. Tail: greedy decoding.

    split: "encoder". Features: `encoder` (frames, width), cut to whole seconds of sound plus three, since the
    rest of the window encodes silence; `trim_seconds: 0` keeps all 1500 frames. No side input.
    """

    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str | None = None,
        readout_weights: Path | None = None,
        dtype: str = "float32",
        batch: int = 8,
        trim_seconds: int = 3,
        max_tokens: int = 64,
    ) -> None:
        if split != "encoder":
            raise ConfigError(f"split {split!r}: Whisper is cut after its encoder, write encoder")
        self.net = WhisperForConditionalGeneration.from_pretrained(
            weights, dtype=torch_dtype(dtype), local_files_only=True, attn_implementation="sdpa"
        ).eval()
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(weights, local_files_only=True)
        self.mel = WhisperFeatureExtractor.from_pretrained(weights, local_files_only=True)
        self.batch, self.dtype, self.trim, self.max_tokens = batch, dtype, trim_seconds, max_tokens
        self.prompt, self.stop, self.last_text = self._special_tokens()
        self.specs = [TensorSpec("encoder", "tokens", dtype, (None, self.net.config.d_model))]

    def head(self, inputs: Sequence[dict[str, Any]]) -> list[Sample]:
        """inputs: {"audio": float32 (samples,) at 16 kHz, at most 30 s}."""
        return map_batches(inputs, lambda i: 0, self.batch, self._head)

    def tail(self, features: Sequence[Sample], side: Sequence[dict[str, Any]]) -> list[str]:
        """-> transcripts."""
        return map_batches(features, lambda f: len(f["encoder"]), self.batch, self._tail)

    def unsplit(self, inputs: Sequence[dict[str, Any]], side: Sequence[dict[str, Any]]) -> list[str]:
        return map_batches(inputs, self._frames, self.batch, self._unsplit)

    @torch.inference_mode()
    def _head(self, inputs: list[dict[str, Any]]) -> list[Sample]:
        states = to_numpy(self._encode(inputs))
        return [{"encoder": s[: self._frames(i)]} for s, i in zip(states, inputs, strict=True)]

    @torch.inference_mode()
    def _tail(self, features: list[Sample]) -> list[str]:
        return self._transcribe(to_torch(np.stack([f["encoder"] for f in features])))

    @torch.inference_mode()
    def _unsplit(self, inputs: list[dict[str, Any]]) -> list[str]:
        return self._transcribe(self._encode(inputs)[:, : self._frames(inputs[0])])

    def _encode(self, inputs: list[dict[str, Any]]) -> torch.Tensor:
        waves = [i["audio"] for i in inputs]
        mel = self.mel(waves, sampling_rate=16000, return_tensors="pt").input_features
        return self.net.model.encoder(mel.to(torch_dtype(self.dtype))).last_hidden_state

    def _frames(self, item: dict[str, Any]) -> int:
        limit = self.net.config.max_source_positions
        if not self.trim:
            return limit
        seconds = -(-len(item["audio"]) // 16000) + self.trim
        return min(limit, seconds * FRAMES_PER_SECOND)

    def _transcribe(self, states: torch.Tensor) -> list[str]:
        """Greedy decoding of a batch (batch, frames, width), timestamps never allowed."""
        ids = torch.tensor([self.prompt] * len(states))
        step, cache, done = ids, None, torch.zeros(len(states), dtype=torch.bool)
        for _ in range(self.max_tokens):
            out = self.net.model.decoder(
                input_ids=step, encoder_hidden_states=states, past_key_values=cache, use_cache=True
            )
            cache = out.past_key_values
            logits = self.net.proj_out(out.last_hidden_state[:, -1]).float()
            logits[:, self.last_text + 1 :] = -torch.inf
            step = torch.where(done, self.stop, logits.argmax(-1))[:, None]
            ids = torch.cat([ids, step], 1)
            done |= step[:, 0] == self.stop
            if done.all():
                break
        texts = ids[:, len(self.prompt) :].tolist()
        return [self.tokenizer.decode(t[: t.index(self.stop)] if self.stop in t else t).strip() for t in texts]

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> decoder's last hidden states over its own transcript (1, tokens, width), with gradients.
        One sample at a time, since transcripts differ in length."""
        states = received["encoder"]
        ids = self.prompt + self.held(received, side[0])["written"]
        out = self.net.model.decoder(input_ids=torch.tensor([ids]), encoder_hidden_states=states)
        return out.last_hidden_state

    @torch.no_grad()
    def held(self, received: dict[str, torch.Tensor], side: dict[str, Any]) -> dict[str, Any]:
        """A side with which `last_feature` of other features follows the transcript of these."""
        if "written" in side:
            return side
        text = self._transcribe(received["encoder"])[0]
        return side | {"written": self.tokenizer.encode(" " + text, add_special_tokens=False)}

    def scores(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> log-probabilities after each token of its own transcript and of its end, with gradients.
        One sample at a time."""
        hidden = self.last_feature(received, side)[:, len(self.prompt) - 1 :]
        return self.net.proj_out(hidden).float()[..., : self.last_text + 1].log_softmax(-1)

    def _special_tokens(self) -> tuple[list[int], int, int]:
        number = self.tokenizer.convert_tokens_to_ids
        names = ["<|startoftranscript|>", "<|notimestamps|>"]
        if self.net.config.vocab_size != 51864:  # multilingual models are told language and task
            names[1:1] = ["<|en|>", "<|transcribe|>"]
        return [number(n) for n in names], number("<|endoftext|>"), number("<|notimestamps|>")
