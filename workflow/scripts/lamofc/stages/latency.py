"""How long one sample takes through head, tail and unsplit model, alone: what splitting costs and saves."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from lamofc.interfaces import Example, Model

SAMPLES = 8  # timed after one to warm up


def measure(model: Model, examples: Iterable[Example]) -> dict[str, float]:
    """Medians over a few samples at batch size 1, seconds, on this machine: head, tail, unsplit."""
    seconds: dict[str, list[float]] = {"head_seconds": [], "tail_seconds": [], "unsplit_seconds": []}
    for example in itertools.islice(examples, SAMPLES + 1):
        features, head = _timed(model.head, [example.inputs])
        _, tail = _timed(model.tail, features, [example.side])
        _, unsplit = _timed(model.unsplit, [example.inputs], [example.side])
        for column, value in zip(seconds.values(), (head, tail, unsplit), strict=True):
            column.append(value)
    return {name: float(np.median(column[1:] or column)) for name, column in seconds.items()}


def _timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start
