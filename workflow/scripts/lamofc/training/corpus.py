"""What a language model is trained on: the `train` parts of data sets, never a sample that is scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.datasets.prose import paragraphs
from lamofc.errors import ConfigError
from lamofc.fetch.unpacked import find_all
from lamofc.tasks import items
from lamofc.training.packing import Document, Source

QUESTIONS, STATEMENTS, PASSAGES = "questions", "statements", "passages"
BOOKS = "books"
SHORTEST = 80  # characters of a paragraph


def texts(datasets: Mapping[str, Path], books: Mapping[str, Path]) -> Iterator[str]:
    """All texts, for the tokenizer."""
    for folder in datasets.values():
        yield from (item["text"] for item in items.of_part(folder, "train"))
    yield from _passages(books)


def sources(
    entry: Mapping[str, Any], datasets: Mapping[str, Path], books: Mapping[str, Path], tokenizer: Any
) -> list[Source]:
    """One source per sort of document: `entry["shares"]` says how often one is drawn.

    data set -> {questions, statements, passages} and `books`, whose paragraphs are passages too.
    Questions are items with a prompt: what follows it in the text is the answer, whose tokens count
    `entry["answer_weight"]`-fold. Statements are the items without one. Passages may be cut where a row ends.
    """
    found = []
    for name, wanted in entry["shares"].items():
        rows = [{"text": t} for t in _passages(books)] if name == BOOKS else _items(datasets, name)
        for sort, share in wanted.items():
            chosen = [r for r in rows if sort == PASSAGES or (sort == QUESTIONS) == ("prompt" in r)]
            if not chosen:
                raise ConfigError(f"{name}: there are no {sort} to train on")
            own = [_document(r, tokenizer, entry["answer_weight"], sort) for r in chosen]
            found.append(Source(own, share, sort == PASSAGES))
    return found


def _items(datasets: Mapping[str, Path], name: str) -> list[dict[str, Any]]:
    return list(items.of_part(datasets[name], "train"))


def _passages(books: Mapping[str, Path]) -> Iterator[str]:
    for path in find_all(books, "*.html") if books else []:
        yield from (p for p in paragraphs(path) if len(p) >= SHORTEST)


def _document(item: Mapping[str, Any], tokenizer: Any, answer_weight: float, sort: str) -> Document:
    encoded = tokenizer.encode(item["text"])
    weight = np.ones(len(encoded.ids), np.float32)
    if sort == QUESTIONS:
        start = len(item["prompt"])
        weight[[end > start for _, end in encoded.offsets]] = answer_weight
    return Document(np.asarray(encoded.ids, np.int64), weight)
