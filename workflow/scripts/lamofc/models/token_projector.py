"""A projector that says how many positions a sound needs: about one per token said, as wide as the language model."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu

BLANK = 0  # class of frames that say nothing new


class TokenProjector(nn.Module):
    """Stacked frames -> a convolution and transformer layers -> classes: tokens of the language model, and a blank.

    Trained by connectionist temporal classification (Graves et al. 2006). Frames that follow one another and have the
    same likeliest token become one position: the tokens' embeddings, weighted by their mean probabilities there. Blank
    frames become none.
    """

    def __init__(
        self, frames: int, stack: int, hidden: int, layers: int, heads: int, classes: int, dropout: float = 0.0
    ):
        super().__init__()
        self.stack = stack
        self.first = nn.Linear(frames * stack, hidden)
        self.near = nn.Conv1d(hidden, hidden, 5, padding=2)
        layer = {"dim_feedforward": 2 * hidden, "dropout": dropout, "activation": "gelu", "batch_first": True,
                 "norm_first": True}  # fmt: skip
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(hidden, heads, **layer) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(hidden), nn.Dropout(dropout)
        self.classes = nn.Linear(hidden, classes)
        self.register_buffer("vocabulary", torch.zeros(classes - 1, dtype=torch.int64))  # token of class 1, 2, ...

    def logits(self, frames: torch.Tensor, padding: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, encoder width) -> (batch, frames / stack, classes); padding (batch, frames / stack): True
        where there is no frame."""
        hidden = self.first(self.dropout(frames.reshape(len(frames), -1, self.first.in_features)))
        if padding is not None:
            hidden = hidden.masked_fill(padding[..., None], 0)
        hidden = hidden + gelu(self.near(hidden.transpose(1, 2))).transpose(1, 2)
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=padding)
        return self.classes(self.norm(hidden))

    def forward(self, frames: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """(frames, encoder width), embeddings (vocabulary, width) of the language model -> (positions, width); one
        position where nothing was heard."""
        shares = self.logits(frames[None])[0].float().softmax(-1)
        runs = merged(shares)
        weights = runs[:, 1:] / runs[:, 1:].sum(-1, keepdim=True)
        return weights.to(table.dtype) @ table[self.vocabulary]


def merged(shares: torch.Tensor) -> torch.Tensor:
    """(frames, classes) -> mean of each run of frames whose likeliest class is the same and not the blank; of all
    frames where there is no such run."""
    best = shares.argmax(-1)
    _, counts = best.unique_consecutive(return_counts=True)
    pieces = [p for p in shares.split(counts.tolist()) if p[0].argmax() != BLANK]
    return torch.stack([p.mean(0) for p in pieces or [shares]])
