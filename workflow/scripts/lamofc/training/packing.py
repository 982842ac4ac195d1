"""Documents of several sources packed into rows of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_TRIES = 8  # draws before the rest of a row goes to a passage


@dataclass(frozen=True)
class Document:
    """ids: what the model reads, END first; weight of each token as a target: answers count more than questions."""

    ids: np.ndarray  # int64 (tokens,)
    weight: np.ndarray  # float32 (tokens,)


@dataclass(frozen=True)
class Source:
    """Documents and how often one is drawn. Passages may start and stop anywhere; other documents stay whole."""

    documents: Sequence[Document]
    share: float
    passages: bool = False


def batch(
    sources: Sequence[Source], rows: int, length: int, seed: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> (inputs, targets, weights), each (length, rows), the same for the same seed.

    A row holds whole documents, as many as fit, and its rest a passage cut to size, so no token is wasted.
    """
    rng = np.random.default_rng(seed)
    filled = [_row(sources, length + 1, rng) for _ in range(rows)]
    ids, weight = (np.stack([getattr(row, part) for row in filled], 1) for part in ("ids", "weight"))
    return ids[:-1], ids[1:], weight[1:]


def _row(sources: Sequence[Source], length: int, rng: np.random.Generator) -> Document:
    parts: list[Document] = []
    left = length
    while left:
        parts.append(_next(sources, left, rng))
        left -= len(parts[-1].ids)
    return Document(*(np.concatenate([getattr(p, part) for p in parts]) for part in ("ids", "weight")))


def _next(sources: Sequence[Source], most: int, rng: np.random.Generator) -> Document:
    """A document that is not too long, or else a stretch of a passage."""
    shares = np.array([s.share for s in sources], float)
    for _ in range(_TRIES):
        source = sources[rng.choice(len(sources), p=shares / shares.sum())]
        if source.passages:
            break
        document = source.documents[int(rng.integers(len(source.documents)))]
        if len(document.ids) <= most:
            return document
    return _passage(sources, most, rng)


def _passage(sources: Sequence[Source], most: int, rng: np.random.Generator) -> Document:
    """A stretch of a passage, `most` tokens at the most."""
    pools = [s for s in sources if s.passages]
    shares = np.array([s.share for s in pools], float)
    pool = pools[rng.choice(len(pools), p=shares / shares.sum())].documents
    document = pool[int(rng.integers(len(pool)))]
    start = int(rng.integers(max(1, len(document.ids) - most + 1)))
    return Document(document.ids[start : start + most], document.weight[start : start + most])
