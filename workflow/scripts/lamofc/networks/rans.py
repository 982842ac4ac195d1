"""Integer frequency tables and the rANS coder of CompressAI, its compiled part alone.

`import compressai` costs ten seconds and more, most of it for parts that no decoder needs; the compiled coder is
loaded from its file instead.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from lamofc.errors import BitstreamError

PRECISION = 16  # bits of a frequency table's sum
MAX_SYMBOL = 1 << 15  # magnitude that an encoder writes at most
_MAX_BYTES_PER_SYMBOL = 8
_FLUSH_BYTES = 8


def extension() -> ModuleType:
    """The module `compressai.ans`, without running `compressai/__init__.py`."""
    name = "compressai.ans"
    if name in sys.modules:
        return sys.modules[name]
    folders = importlib.util.find_spec("compressai").submodule_search_locations
    file = next(f for folder in folders for f in sorted(Path(folder).glob("ans.*")) if f.suffix in (".so", ".pyd"))
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Tables:
    """Frequency tables of integers: table i gives offset[i] + (0, 1, ...), and an escape as its last symbol.

    frequencies: uint16, all tables one after another, each of sum 2^16; lengths: entries of each table.
    """

    frequencies: np.ndarray
    lengths: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_cdfs(cls, cdf: np.ndarray, sizes: np.ndarray, offsets: np.ndarray) -> Tables:
        """From CompressAI's buffers: cdf (tables, longest), entries used of each row, offsets."""
        rows = [np.diff(row[:size]) for row, size in zip(cdf, sizes, strict=True)]
        lengths = np.asarray(sizes) - 1
        return cls(np.concatenate(rows).astype(np.uint16), lengths.astype(np.uint16), offsets.astype(np.int16))

    def __post_init__(self) -> None:
        ends = np.cumsum(self.lengths.astype(np.int64))
        starts = ends - self.lengths
        sums = np.add.reduceat(self.frequencies.astype(np.int64), starts)
        if ends[-1] != self.frequencies.size or np.any(sums != 1 << PRECISION) or not np.all(self.frequencies):
            raise ValueError("frequency tables of a network do not sum to 2^16; its file is damaged")
        tables = (self.frequencies[a:b].astype(np.int64) for a, b in zip(starts, ends, strict=True))
        object.__setattr__(self, "_cdfs", [[0, *np.cumsum(t).tolist()] for t in tables])

    def select(self, indexes: np.ndarray) -> tuple[list[int], list[list[int]], list[int], list[int]]:
        """Table numbers of symbols -> the coder's arguments, with the tables in use alone."""
        used, renumbered = np.unique(indexes, return_inverse=True)
        cdfs = [self._cdfs[i] for i in used]
        return renumbered.ravel().tolist(), cdfs, [len(c) for c in cdfs], self.offsets[used].tolist()


def encode(parts: list[tuple[np.ndarray, np.ndarray, Tables]]) -> bytes:
    """(symbols, table numbers, tables) in the order in which they are decoded -> one rANS stream."""
    encoder = extension().BufferedRansEncoder()
    for symbols, indexes, tables in parts:
        clipped = np.clip(symbols.ravel(), -MAX_SYMBOL, MAX_SYMBOL)
        encoder.encode_with_indexes(clipped.tolist(), *tables.select(indexes))
    return encoder.flush()


class Decoder:
    """Decode a stream of at most `symbols` symbols, part by part. BitstreamError if its length is impossible."""

    def __init__(self, data: bytes, symbols: int) -> None:
        if len(data) < _FLUSH_BYTES or len(data) % 4 or len(data) > _FLUSH_BYTES + _MAX_BYTES_PER_SYMBOL * symbols:
            raise BitstreamError(f"{len(data)} bytes cannot be the rANS stream of {symbols} symbols")
        # The coder does not know where its input ends; zeros last as long as any forged stream can make it read.
        slack = 4 * symbols + 128 * len(data) + 64
        self._decoder = extension().RansDecoder()
        self._decoder.set_stream(data + bytes(slack))

    def take(self, indexes: np.ndarray, tables: Tables) -> np.ndarray:
        """Symbols of these table numbers, int64 of the same shape."""
        values = np.asarray(self._decoder.decode_stream(*tables.select(indexes)), np.int64)
        if values.size and np.abs(values).max() > 2 * MAX_SYMBOL:
            raise BitstreamError(f"symbol {np.abs(values).max()} is larger than any encoder writes")
        return values.reshape(indexes.shape)
