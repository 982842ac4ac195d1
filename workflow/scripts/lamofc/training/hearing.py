"""Training of a projector by connectionist temporal classification, without the language model in the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import ctc_loss

from lamofc.errors import ConfigError
from lamofc.models.token_projector import BLANK, TokenProjector, merged
from lamofc.tasks.asr import edit_distance, normalise
from lamofc.training.heard import Heard
from lamofc.training.language import Training

_SPAN = 6  # longest stretch of stacked frames that a step hides
_GROWN = ("classes.weight", "classes.bias", "vocabulary")  # as long as there are tokens


def vocabulary(heard: Sequence[Heard], tokenizer: Any, first: Sequence[int] = ()) -> list[int]:
    """Tokens of all that is said, in order of their number, behind those that come first."""
    return [*first, *sorted({t for h in heard for t in tokens(h.said, tokenizer)} - set(first))]


def tokens(said: str, tokenizer: Any) -> list[int]:
    return tokenizer(" " + said, add_special_tokens=False).input_ids


def build(entry: Mapping[str, Any], width: int, known: Sequence[int]) -> TokenProjector:
    torch.manual_seed(entry["seed"])
    projector = TokenProjector(width, classes=len(known) + 1, dropout=entry["dropout"], **entry["network"])
    projector.vocabulary.copy_(torch.tensor(known))
    return projector


def begin(net: TokenProjector, weights: Mapping[str, torch.Tensor]) -> None:
    """Weights of an earlier training; its tokens come first in the vocabulary, and those behind begin anew.

    ConfigError where the sizes are others.
    """
    own = net.state_dict()
    kept = {k: v for k, v in own.items() if k not in _GROWN} | {k: own[k][: len(weights[k])] for k in _GROWN}
    if wrong := [k for k, v in kept.items() if k not in weights or v.shape != weights[k].shape]:
        raise ConfigError(f"training begins with weights of other sizes: {', '.join(wrong)}; give it that `network`")
    known = weights["vocabulary"]
    if not torch.equal(own["vocabulary"][: len(known)], known):
        raise ConfigError("training begins with weights of other tokens than its vocabulary begins with")
    with torch.no_grad():
        for name, value in kept.items():
            value.copy_(weights[name])


class Hearing(Training):
    """Batches of utterances of like length; stretches of each are hidden, as SpecAugment does (arXiv:1904.08779)."""

    def __init__(
        self, net: TokenProjector, entry: Mapping[str, Any], heard: Sequence[Heard], tokenizer: Any, state: Path
    ) -> None:
        super().__init__(net, entry, (), state)
        number = {token: i + 1 for i, token in enumerate(net.vocabulary.tolist())}
        ordered = sorted(heard, key=lambda h: len(h.frames))
        self.pairs = [(h.frames, [number[t] for t in tokens(h.said, tokenizer)]) for h in ordered]
        self.pairs = [(f, ids) for f, ids in self.pairs if len(f) // net.stack > len(ids) * 3 // 2]

    def loss(self, seed: tuple[int, int]) -> torch.Tensor:
        rng = np.random.default_rng(seed)
        torch.manual_seed(1_000_003 * seed[0] + seed[1])  # dropout of a step is the same where a training goes on
        rows = self.entry["rows"]
        start = int(rng.integers(len(self.pairs) - rows + 1))
        frames, lengths, padding = stacked([f for f, _ in self.pairs[start : start + rows]], self.net.stack)
        said = [torch.tensor(ids) for _, ids in self.pairs[start : start + rows]]
        for row, length in enumerate(lengths.tolist()):
            for _ in range(2):
                span, at = int(rng.integers(_SPAN + 1)), int(rng.integers(length))
                frames[row, self.net.stack * at : self.net.stack * (at + span)] = 0
        scores = self.net.logits(frames, padding).log_softmax(-1).transpose(0, 1)
        sizes = torch.tensor([len(s) for s in said])
        return ctc_loss(scores, torch.cat(said), lengths, sizes, blank=BLANK, zero_infinity=True)

    def _take(self) -> torch.Tensor:
        loss = self.update(self.loss((self.entry["seed"], self.step)))
        return torch.stack([loss, loss])


def stacked(sounds: Sequence[torch.Tensor], stack: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Frames of unlike length -> (batch, frames, width) float32, lengths in stacks, padding (batch, stacks)."""
    lengths = torch.tensor([len(s) // stack for s in sounds])
    frames = torch.nn.utils.rnn.pad_sequence([s.float() for s in sounds], batch_first=True)
    return frames, lengths, torch.arange(int(lengths.max()))[None] >= lengths[:, None]


@torch.inference_mode()
def error_rate(net: TokenProjector, heard: Sequence[Heard], tokenizer: Any) -> float:
    """Word error rate, percent, of the likeliest tokens alone, without a language model."""
    net.eval()
    edits = words = 0
    for h in heard:
        runs = merged(net.logits(h.frames.float()[None])[0].softmax(-1))[:, 1:]
        text = tokenizer.decode(net.vocabulary[runs.argmax(-1)].tolist())
        edits += edit_distance(normalise(h.said), normalise(text))
        words += len(normalise(h.said))
    net.train()
    return 100 * edits / words
