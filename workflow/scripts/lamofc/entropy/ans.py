"""A stack of symbols under integer frequency tables (Duda 2013), coded by constriction's 24-bit rANS.

The encoder keeps what it is given and pushes it in reverse at the end: the decoder then takes in the order of `put`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, cached_property

import constriction
import numpy as np

from lamofc.errors import BitstreamError

_MODELS = constriction.stream.model
_ANY = _MODELS.Categorical(perfect=False)  # a table for each symbol
_FEW, _SMALL = 40, 1600  # symbols of a row, and these times those of its table, up to which that is faster
_MAX_UNIFORM_BITS = 16
_SLACK_BITS = 64.0  # state of the coder, and the rounding of frequencies to 24 bits
# From an empty stack, any number of last symbols 0 costs nothing, which the decoder's bound would take for a forgery:
# such streams start from this word instead.
_SENTINEL = np.array([1 << 24], np.uint32)


class Table:
    """A distribution over 0 .. len(frequencies)-1, at least two symbols, integer frequencies summing below 2^24.

    floor: the fewest bits one symbol can cost, by which decoders bound what given bytes may hold.
    """

    def __init__(self, frequencies: np.ndarray) -> None:
        self.frequencies = np.maximum(np.asarray(frequencies, np.int64), 1)
        self.size, self.total = len(self.frequencies), int(self.frequencies.sum())
        if self.size < 2 or self.total >= 1 << 24:
            raise ValueError(f"table of {self.size} symbols and total {self.total}: needs 2 symbols and less than 2^24")
        self.model = _MODELS.Categorical(self.frequencies.astype(np.float64), perfect=False)
        self.floor = 0.98 * math.log2(self.total / int(self.frequencies.max()))

    def bits(self) -> np.ndarray:
        """Code length of each symbol."""
        return np.log2(self.total / self.frequencies)


class Rows:
    """A table for each row of frequencies (rows, symbols), as `Table` makes them, without an object for each."""

    def __init__(self, frequencies: np.ndarray) -> None:
        rows = np.maximum(np.asarray(frequencies, np.int64), 1)
        totals = rows.sum(1)
        if rows.shape[1] < 2 or totals.max(initial=0) >= 1 << 24:
            raise ValueError(f"tables of {rows.shape[1]} symbols: each needs 2 symbols and a total less than 2^24")
        self.rows = np.ascontiguousarray(rows, np.float64)
        # bits that a symbol of each row costs at least
        self.floor = sum((0.98 * np.log2(totals / rows.max(1))).tolist())

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def models(self) -> list[object]:
        """One for every row."""
        return [_MODELS.Categorical(row, perfect=False) for row in self.rows]

    def is_for_symbols(self, count: int) -> bool:
        """Whether so few symbols a row take less by one call with a table for each symbol than by a model and a call
        for each row."""
        return count <= _FEW and count * self.rows.shape[1] <= _SMALL

    def by_symbol(self, count: int) -> np.ndarray:
        """Frequencies of every symbol's table, row after row."""
        return np.repeat(self.rows, count, 0)


class Encoder:
    """Collects symbols; `bytes` codes them all."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, object] | tuple[np.ndarray, object, Rows]] = []
        self._floor = 0.0
        self._inner: list[tuple[int, Encoder]] = []

    def later(self) -> Encoder:
        """An encoder whose symbols stand here, whenever they are put before `bytes`."""
        self._inner.append((len(self._parts), inner := Encoder()))
        return inner

    def put(self, symbols: np.ndarray, table: Table) -> None:
        """Integers 0 .. table.size-1, any shape; not to be changed before `bytes`. KeyError in `bytes` on others."""
        self._append(np.ascontiguousarray(symbols, np.int32).ravel(), table.model, table.floor)

    def put_rows(self, symbols: np.ndarray, tables: Rows) -> None:
        """As `put` for (rows, n) with a table for each row."""
        rows = np.ascontiguousarray(symbols, np.int32)
        if not tables.is_for_symbols(rows.shape[1]):
            self._parts += zip(rows, tables.models, strict=True)
        else:
            self._parts.append((rows.ravel(), _ANY, tables))
        self._floor += rows.shape[1] * tables.floor

    def put_runs(self, symbols: np.ndarray, runs: Sequence[tuple[int, int, Table]]) -> None:
        """As `put` for each symbols[first:last] under its table; symbols (n,) int32."""
        self._parts += [(symbols[a:b], table.model) for a, b, table in runs]
        self._floor += sum([(b - a) * table.floor for a, b, table in runs])

    def put_uniform(self, values: np.ndarray | int, size: int) -> None:
        """Integers 0 .. size-1 at log2(size) bits each; sizes above 2^16 must be powers of two."""
        if isinstance(values, int) and size <= 1 << _MAX_UNIFORM_BITS:
            if size > 1:
                self._append(np.array([values], np.int32), *_uniform(size))
            return
        values = np.ravel(values)
        for shift, chunk in _chunks(size):
            part = values if chunk == size else (values >> shift) % chunk
            self._append(np.ascontiguousarray(part, np.int32), *_uniform(chunk))

    def bytes(self) -> bytes:
        """All symbols so far; the decoder must know their number and tables."""
        for at, inner in reversed(self._inner):
            self._parts[at:at] = inner._parts
            self._floor += inner._floor
        self._inner.clear()
        data = self._coded(constriction.stream.stack.AnsCoder())
        if self._floor <= 8 * len(data) + _SLACK_BITS:
            return data
        return self._coded(constriction.stream.stack.AnsCoder(_SENTINEL.copy()))

    def _append(self, symbols: np.ndarray, model: object, floor: float) -> None:
        self._parts.append((symbols, model))
        self._floor += symbols.size * floor

    def _coded(self, coder: constriction.stream.stack.AnsCoder) -> bytes:
        for symbols, model, *rows in reversed(self._parts):
            if symbols.size:  # tables of all symbols are large: one part's at a time
                coder.encode_reverse(symbols, model, *(r.by_symbol(symbols.size // len(r)) for r in rows))
        return coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


class Meter(Encoder):
    """Adds up the code lengths of what it is given, -log2 of the frequencies in their tables, and codes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bits = 0.0

    def put(self, symbols: np.ndarray, table: Table) -> None:
        self.bits += float(table.bits()[symbols].sum())

    def put_rows(self, symbols: np.ndarray, tables: Sequence[Table]) -> None:
        for row, table in zip(symbols, tables, strict=True):
            self.put(row, table)

    def put_runs(self, symbols: np.ndarray, runs: Sequence[tuple[int, int, Table]]) -> None:
        for first, last, table in runs:
            self.put(symbols[first:last], table)

    def put_uniform(self, values: np.ndarray | int, size: int) -> None:
        self.bits += np.size(values) * math.log2(size)


class Decoder:
    """Takes symbols in the order they were put. BitstreamError if the bytes cannot hold them."""

    def __init__(self, data: bytes) -> None:
        if data[-1:] == b"\0":
            raise BitstreamError("entropy-coded bytes end in a zero, which no encoder writes")
        words = np.frombuffer(data + bytes(-len(data) % 4), "<u4").astype(np.uint32)
        self._coder = constriction.stream.stack.AnsCoder(words) if words.size else constriction.stream.stack.AnsCoder()
        self._bits = 8.0 * len(data) + _SLACK_BITS

    def take(self, count: int, table: Table) -> np.ndarray:
        """-> (count,) int32."""
        return self._take(count, table.model, table.floor)

    def take_runs(self, out: np.ndarray, runs: Sequence[tuple[int, int, Table]]) -> None:
        """Inverse of `put_runs` into out (n,) int32; runs are not empty."""
        decode = self._coder.decode
        for first, last, table in runs:
            self._spend((last - first) * table.floor, last - first)
            out[first:last] = decode(table.model, last - first)

    def take_rows(self, count: int, tables: Rows) -> np.ndarray:
        """-> (rows, count) int32, each row under its table."""
        self._spend(count * tables.floor, count * len(tables))
        if not count or not len(tables):
            return np.empty((len(tables), count), np.int32)
        decode = self._coder.decode
        if tables.is_for_symbols(count):
            return decode(_ANY, tables.by_symbol(count)).reshape(-1, count)
        return np.concatenate([decode(model, count) for model in tables.models]).reshape(-1, count)

    def take_uniform(self, count: int, size: int) -> np.ndarray:
        """-> (count,) int64."""
        values = np.zeros(count, np.int64)
        for shift, chunk in _chunks(size):
            values |= self._take(count, *_uniform(chunk)).astype(np.int64) << shift
        return values

    def take_one(self, size: int) -> int:
        """One integer 0 .. size-1 that `put_uniform` put."""
        return int(self.take_uniform(1, size)[0])

    def close(self) -> None:
        """Refuse bytes that hold more than was taken."""
        if not self._coder.is_empty() and not np.array_equal(self._coder.get_compressed(), _SENTINEL):
            raise BitstreamError("entropy-coded bytes hold more than their symbols: damaged, or other tables")

    def _take(self, count: int, model: object, floor: float) -> np.ndarray:
        self._spend(count * floor, count)
        return self._coder.decode(model, count) if count else np.empty(0, np.int32)

    def _spend(self, bits: float, count: int) -> None:
        self._bits -= bits
        if self._bits < 0:
            raise BitstreamError(f"{count} symbols cannot come from so few entropy-coded bytes")


@cache
def _uniform(size: int) -> tuple[object, float]:
    """Model of 0 .. size-1, and the fewest bits of a symbol."""
    return _MODELS.Uniform(size), 0.98 * math.log2(size)


@cache
def _chunks(size: int) -> list[tuple[int, int]]:
    """(shift, size) of the uniform symbols that make one of 0 .. size-1; none for size 1."""
    if size <= 1 << _MAX_UNIFORM_BITS:
        return [(0, size)] if size > 1 else []
    width = size.bit_length() - 1
    if size != 1 << width:
        raise ValueError(f"uniform size {size} is above 2^16 and no power of two")
    shifts = range(0, width, _MAX_UNIFORM_BITS)
    return [(shift, 1 << min(_MAX_UNIFORM_BITS, width - shift)) for shift in shifts]
