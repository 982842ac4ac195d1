"""Documents of several sources packed into rows of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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

    A row holds whole documents; one that does not fit any more begins the next row, and a passage cut to size takes
    the rest, so that no token is wasted and a long document is drawn as often as its share says.
    """
    rng = np.random.default_rng(seed)
    filled, waiting = [], None
    for _ in range(rows):
        row, waiting = _row(sources, length + 1, waiting, rng)
        filled.append(row)
    ids, weight = (np.stack([getattr(row, part) for row in filled], 1) for part in ("ids", "weight"))
    return ids[:-1], ids[1:], weight[1:]


def _row(
    sources: Sequence[Source], length: int, waiting: Document | None, rng: np.random.Generator
) -> tuple[Document, Document | None]:
    """-> the row, which begins with the document that waits for one, and the document that waits for the next."""
    parts = [] if waiting is None else [waiting]
    left, waiting = length - sum(len(p.ids) for p in parts), None
    while left:
        drawn, whole = _draw(sources, left, rng)
        if whole and len(drawn.ids) > left:
            waiting = drawn if len(drawn.ids) <= length else None
            drawn = _passage(sources, left, rng)
        parts.append(drawn)
        left -= len(drawn.ids)
    return Document(*(np.concatenate([getattr(p, part) for p in parts]) for part in ("ids", "weight"))), waiting


def _draw(sources: Sequence[Source], most: int, rng: np.random.Generator) -> tuple[Document, bool]:
    """A document and whether it must stay whole; a passage comes cut to `most` tokens."""
    shares = np.array([s.share for s in sources], float)
    source = sources[rng.choice(len(sources), p=shares / shares.sum())]
    if source.passages:
        return _passage(sources, most, rng), False
    return source.documents[int(rng.integers(len(source.documents)))], True


def _passage(sources: Sequence[Source], most: int, rng: np.random.Generator) -> Document:
    """A stretch of a passage, `most` tokens at the most."""
    pools = [s for s in sources if s.passages]
    shares = np.array([s.share for s in pools], float)
    pool = pools[rng.choice(len(pools), p=shares / shares.sum())].documents
    document = pool[int(rng.integers(len(pool)))]
    start = int(rng.integers(max(1, len(document.ids) - most + 1)))
    return Document(document.ids[start : start + most], document.weight[start : start + most])
