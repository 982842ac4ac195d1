"""Symbols under a table fitted to them and sent: counts in fractions of an octave, coded as differences.

A stream is sent in whichever of these ways is smallest: a constant, raw, or with a table of 1, 2 or 4 levels per octave
of probability (finer tables fit better and cost more).
"""

from __future__ import annotations

import numpy as np

from lamofc.entropy import bank, fitting, grouped
from lamofc.entropy.ans import Decoder, Encoder, Table
from lamofc.errors import BitstreamError

MAX_ALPHABET = 1 << 12
_RAW, _CONSTANT = 0, 1
_RESOLUTIONS = {2: 1, 3: 2, 4: 4}  # mode -> levels per octave
_MODES = 5
_OCTAVES = 16  # probabilities below 2^-16 of the largest share its level


def put(encoder: Encoder, symbols: np.ndarray, alphabet: int) -> None:
    """symbols 0 .. alphabet-1, any shape and integer dtype; alphabet up to 4096."""
    symbols = np.ascontiguousarray(symbols, np.int32).ravel()
    if not symbols.size:
        return
    counts = np.bincount(symbols, minlength=alphabet)
    mode, levels = _choose(counts)
    encoder.put_uniform(mode, _MODES)
    if mode == _RAW:
        encoder.put_uniform(symbols, alphabet)
    elif mode == _CONSTANT:
        encoder.put_uniform(int(symbols[0]), alphabet)
    else:
        first = _put_levels(encoder, levels, alphabet)
        encoder.put(symbols - first, _table(levels[levels.nonzero()[0][0] :], _RESOLUTIONS[mode]))


def take(decoder: Decoder, count: int, alphabet: int) -> np.ndarray:
    """Inverse of `put` -> (count,) int32."""
    if not count:
        return np.empty(0, np.int32)
    mode = decoder.take_one(_MODES)
    if mode == _RAW:
        return decoder.take_uniform(count, alphabet).astype(np.int32)
    if mode == _CONSTANT:
        return np.full(count, decoder.take_one(alphabet), np.int32)
    first, levels = _take_levels(decoder, alphabet, _RESOLUTIONS[mode])
    return decoder.take(count, _table(levels, _RESOLUTIONS[mode])) + np.int32(first)


def _choose(counts: np.ndarray) -> tuple[int, np.ndarray]:
    """The mode that should be cheapest, and its levels: finer tables for more symbols."""
    used = counts[counts > 0]
    if used.size == 1:
        return _CONSTANT, counts
    total = int(used.sum())
    mode = 2 + (total > 60 * used.size) + (total > 600 * used.size)
    entropy = total * np.log2(total) - float(used @ np.log2(used))
    runs = np.count_nonzero(np.diff(counts > 0))
    table = 20 + used.size * (1.5 + mode / 2) + 7 * runs
    if entropy + table > total * np.log2(len(counts)):
        return _RAW, counts
    return mode, _levels(counts, _RESOLUTIONS[mode])


def _levels(counts: np.ndarray, resolution: int) -> np.ndarray:
    """0 for absent symbols, else 1 .. 1 + resolution * _OCTAVES. int32."""
    top = resolution * _OCTAVES
    logs = resolution * np.log2(np.maximum(counts, 1) / counts.max())
    return np.where(counts > 0, 1 + np.maximum(np.rint(logs) + top, 0), 0).astype(np.int32)


def _weights(levels: np.ndarray, resolution: int) -> np.ndarray:
    """Integer frequencies of levels: rounded powers of two, 0 for absent symbols."""
    return np.where(levels > 0, np.maximum(np.rint(np.exp2((levels - 1) / resolution)), 1), 0).astype(np.int64)


def _table(levels: np.ndarray, resolution: int) -> Table:
    weights = _weights(levels, resolution)
    total = int(weights.sum())
    excess = max(0, total.bit_length() - 23)
    trimmed = np.where(weights > 0, np.maximum(weights >> excess, 1), 0)
    last = int(np.flatnonzero(trimmed)[-1]) + 1
    return Table(trimmed[: max(last, 2)])


def _steps(levels: np.ndarray) -> np.ndarray:
    """(1, n) differences, the first one from 0."""
    steps = levels[None].copy()
    steps[0, 1:] -= levels[:-1]
    return steps


def _put_levels(encoder: Encoder, levels: np.ndarray, alphabet: int) -> int:
    used = np.flatnonzero(levels)
    first, last = int(used[0]), int(used[-1])
    steps = _steps(levels[first : last + 1])
    index = np.minimum(fitting.best(steps), bank.SIZE - 1)
    encoder.put_uniform(first, alphabet)
    encoder.put_uniform(last, alphabet)
    encoder.put_uniform(int(index[0]), bank.SIZE)
    grouped.put(encoder, steps, index)
    return first


def _take_levels(decoder: Decoder, alphabet: int, resolution: int) -> tuple[int, np.ndarray]:
    first, last = decoder.take_one(alphabet), decoder.take_one(alphabet)
    if last <= first:
        raise BitstreamError(f"table of symbols {first} .. {last} is empty")
    index = decoder.take_one(bank.SIZE)
    levels = np.cumsum(grouped.take(decoder, last - first + 1, np.array([index]))[0])
    if levels.min() < 0 or levels.max() > 1 + resolution * _OCTAVES or levels[0] == 0 or levels[-1] == 0:
        raise BitstreamError("table of probabilities is out of range")
    return first, levels.astype(np.int32)
