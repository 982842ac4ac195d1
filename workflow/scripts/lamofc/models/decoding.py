"""Answers of a language model from its first distribution on: likelihood of given options, or greedy text."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch

KEPT = 16  # likeliest tokens of each step that an output keeps, for distances between outputs


def kind(side: dict[str, Any]) -> Hashable:
    """What must be equal for samples to be answered in one batch, besides the length of the prompt."""
    return ("options", len(side["options"])) if "options" in side else ("greedy", int(side["max_new_tokens"]))


@torch.inference_mode()
def greedy(
    first: torch.Tensor, step: Callable[[torch.Tensor], torch.Tensor], side: Sequence[dict[str, Any]]
) -> list[dict[str, np.ndarray]]:
    """Greedy text of at most `max_new_tokens` tokens, up to the first of the tokens `stop`.

    first: log-probabilities (batch, vocabulary) after the prompt; step: token ids (batch, 1) -> those after them.
    -> {"tokens": int64 (n,) with the stop token if it came, "candidates": int32 (n, KEPT) and "logprobs": float32
    (n, KEPT), the likeliest tokens of each step}. Rows that stopped are carried on until all have, then cut.
    """
    stops = [set(map(int, s["stop"])) for s in side]
    limit = int(side[0]["max_new_tokens"])
    tokens, kept, open_rows, logprobs = [], [], set(range(len(side))), first
    while True:
        kept.append(logprobs.topk(min(KEPT, logprobs.shape[1]), dim=-1))
        tokens.append(logprobs.argmax(-1))
        open_rows -= {row for row in open_rows if int(tokens[-1][row]) in stops[row]}
        if len(tokens) == limit or not open_rows:
            break
        logprobs = step(tokens[-1][:, None])
    columns = torch.stack(tokens, 1)
    values, indices = torch.stack([k.values for k in kept], 1), torch.stack([k.indices for k in kept], 1)
    return [_cut(columns[row], values[row], indices[row], stops[row]) for row in range(len(side))]


def _cut(tokens: torch.Tensor, values: torch.Tensor, indices: torch.Tensor, stop: set[int]) -> dict[str, np.ndarray]:
    ids = tokens.cpu().numpy().astype(np.int64)
    ends = [i for i, token in enumerate(ids) if int(token) in stop]
    n = ends[0] + 1 if ends else len(ids)
    return {
        "tokens": ids[:n],
        "candidates": indices[:n].cpu().numpy().astype(np.int32),
        "logprobs": values[:n].float().cpu().numpy(),
    }
