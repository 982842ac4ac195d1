"""One table per channel for symbols -top .. top: derived from calibrated distributions, or sent with the symbols."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lamofc.entropy import adaptive
from lamofc.entropy.ans import Decoder, Encoder, Rows

REACH = 127  # calibrated distributions have this many bins on either side of zero
_PER_OCTAVE, _OCTAVES = 4, 15
_PRIOR = 16.0  # how many observations the tensor's own distribution counts for in each channel
_SENT_LEVELS = 24  # octaves of counts, one level each
_WEIGHTS = np.append(1, np.int64(64) << np.arange(_SENT_LEVELS + 9, dtype=np.int64))  # encoders count up to 2^32


def count(counts: np.ndarray, symbols: np.ndarray) -> None:
    """Add (n, channels) int32 within -REACH .. REACH to (channels, 2 REACH + 1) counts."""
    width = counts.shape[1]
    places = symbols + REACH + width * np.arange(len(counts), dtype=np.int64)
    counts += np.bincount(places.ravel(), minlength=counts.size).reshape(counts.shape)


def levels(counts: np.ndarray) -> np.ndarray:
    """Counts -> log probabilities in quarter octaves above 2^-15, uint8: the asset, of the same shape."""
    every = counts.sum(0) + 1.0
    smoothed = counts + _PRIOR * (every + every[::-1]) / (2 * every.sum())
    shares = smoothed / smoothed.sum(1, keepdims=True)
    return np.clip(np.rint(_PER_OCTAVE * (np.log2(shares) + _OCTAVES)), 0, _PER_OCTAVE * _OCTAVES).astype(np.uint8)


def calibrated(levels: np.ndarray, top: int) -> Rows:
    """Tables of all channels for `top` bins on either side of zero: integer sums over the asset's bins."""
    weights = np.rint(np.exp2(np.minimum(levels, _PER_OCTAVE * _OCTAVES) / _PER_OCTAVE))
    middles = np.arange(-REACH, REACH + 1)
    nearest = (2 * top * middles + REACH) // (2 * REACH) + top
    return Rows(weights @ (nearest[:, None] == np.arange(2 * top + 1)) + 1)


def put(encoder: Encoder, symbols: np.ndarray, top: int, tables: Rows | None, queue: adaptive.Queue) -> None:
    """symbols (channels, n) int32 within -top .. top; without tables they are fitted and sent first, by the queue."""
    if not symbols.size:
        return
    if tables is None:
        sent = _sent_levels(symbols, top)
        queue.put(encoder, sent.T)
        tables = _sent_tables(sent)
    encoder.put_rows(symbols + np.int32(top), tables)


def take(decoder: Decoder, channels: int, count: int, top: int, tables: Rows | None) -> np.ndarray:
    """Inverse of `put` -> (channels, count) int32."""
    if not channels * count:
        return np.zeros((channels, count), np.int32)
    if tables is None:
        sent = adaptive.take(decoder, 2 * top + 1, channels).T
        tables = _sent_tables(np.clip(sent, 0, _SENT_LEVELS))
    return decoder.take_rows(count, tables) - np.int32(top)


def _sent_levels(symbols: np.ndarray, top: int) -> np.ndarray:
    """(channels, 2 top + 1) int32: 0 for symbols that do not occur, else 1 + octaves of their count."""
    width = 2 * top + 1
    places = symbols + (top + width * np.arange(len(symbols), dtype=np.int64))[:, None]
    counts = np.bincount(places.ravel(), minlength=width * len(symbols)).reshape(-1, width)
    return _level_of_count(symbols.shape[1])[counts]


@lru_cache(maxsize=64)
def _level_of_count(most: int) -> np.ndarray:
    """Level of each count 0 .. most, int32."""
    levels = 1 + np.rint(np.log2(np.maximum(np.arange(most + 1), 1)))
    levels[0] = 0
    return levels.astype(np.int32)


def _sent_tables(levels: np.ndarray) -> Rows:
    weights = _WEIGHTS[levels]
    sums = weights.sum(1)
    if sums.max(initial=0) > 1 << 23:
        weights >>= np.maximum(0, np.ceil(np.log2(sums)).astype(np.int64) - 23)[:, None]
    return Rows(weights)
