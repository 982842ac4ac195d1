"""Symbols under a table fitted to them and sent: counts in fractions of an octave, coded as differences.

A stream is sent in whichever of these ways is smallest: a constant, raw, or with a table of 1, 2 or 4 levels per octave
of probability (finer tables fit better and cost more).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lamofc.entropy import bank, fitting
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
        used = levels.nonzero()[0]
        first, last = int(used[0]), int(used[-1])
        encoder.put_uniform(first, alphabet)
        encoder.put_uniform(last, alphabet)
        levels = levels[first : last + 1]
        _put_levels(encoder, levels)
        encoder.put(symbols - np.int32(first), _table(levels, _RESOLUTIONS[mode]))


def take(decoder: Decoder, count: int, alphabet: int) -> np.ndarray:
    """Inverse of `put` -> (count,) int32."""
    if not count:
        return np.empty(0, np.int32)
    mode = decoder.take_one(_MODES)
    if mode == _RAW:
        return decoder.take_uniform(count, alphabet).astype(np.int32)
    if mode == _CONSTANT:
        return np.full(count, decoder.take_one(alphabet), np.int32)
    first, last = decoder.take_one(alphabet), decoder.take_one(alphabet)
    if last <= first:
        raise BitstreamError(f"table of symbols {first} .. {last} is empty")
    levels = _take_levels(decoder, last - first + 1, _RESOLUTIONS[mode])
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


def _table(levels: np.ndarray, resolution: int) -> Table:
    """Table of the symbols from the first to the last that occurs; others in between get the least frequency."""
    weights = _weights(resolution)[levels]
    excess = max(0, int(weights.sum()).bit_length() - 23)
    return Table(weights >> excess)


@cache
def _weights(resolution: int) -> np.ndarray:
    """Integer frequency of each level: rounded powers of two, 0 for absent symbols."""
    return np.append(0, np.rint(np.exp2(np.arange(resolution * _OCTAVES + 1) / resolution))).astype(np.int64)


def _steps(levels: np.ndarray) -> np.ndarray:
    """(1, n) differences, the first one from 0."""
    steps = levels[None].copy()
    steps[0, 1:] -= levels[:-1]
    return steps


def _put_levels(encoder: Encoder, levels: np.ndarray) -> None:
    steps = _steps(levels)
    reach = np.searchsorted(bank.reach(), np.abs(steps).max())  # the first table with a symbol for every step
    index = int(max(min(fitting.best(steps)[0], bank.SIZE - 1), reach))
    encoder.put_uniform(index, bank.SIZE)
    encoder.put(steps + bank.reach()[index], bank.table(index))


def _take_levels(decoder: Decoder, count: int, resolution: int) -> np.ndarray:
    index = decoder.take_one(bank.SIZE)
    levels = np.cumsum(decoder.take(count, bank.table(index)) - bank.reach()[index])
    if levels.min() < 0 or levels.max() > 1 + resolution * _OCTAVES or levels[0] == 0 or levels[-1] == 0:
        raise BitstreamError("table of probabilities is out of range")
    return levels
