"""Forgeries below the entropy coder: streams that hold other symbols than the encoder's, and nothing more or less.

Damaged bytes almost always end with symbols left over, which the decoder refuses before it uses what it took. Here a
valid packet is decoded with some symbols changed on the way, all that was taken is written down, and coded again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from lamofc.entropy import ans

_MOST = 1 << 17  # symbols of one forgery
_METHODS = ("__init__", "take", "take_runs", "take_rows", "take_uniform", "close")


class TooMany(Exception):
    """A changed symbol made the decoder ask for more symbols than forgeries have."""


class Run:
    """One decoding: symbols of call number `target` are changed; -1 changes none."""

    def __init__(self, rng: np.random.Generator | None, target: int) -> None:
        self.rng, self.target, self.calls, self.symbols = rng, target, 0, 0
        self.streams: list[tuple[bytes, ans.Encoder]] = []

    def forge(self, coder: object, sections: Sequence[bytes], shapes: dict) -> list[bytes]:
        """Sections of one packet -> the same with each ANS stream replaced by what was taken from it."""
        with self._in_place(), contextlib.suppress(Exception):
            coder.decode(sections, shapes)
        out = list(sections)
        for old, encoder in self._longest().items():
            new = encoder.bytes()
            places = [k for k, s in enumerate(out) if old and old in s]
            if places and new != old:
                out[places[0]] = out[places[0]].replace(old, new, 1)
        return out

    def _longest(self) -> dict[bytes, ans.Encoder]:
        """What was taken from each stream by the decoder that took most: some are looked into beforehand."""
        found: dict[bytes, ans.Encoder] = {}
        for data, encoder in self.streams:
            if data not in found or len(encoder._parts) > len(found[data]._parts):
                found[data] = encoder
        return found

    @contextlib.contextmanager
    def _in_place(self) -> None:
        kept = {name: getattr(ans.Decoder, name) for name in _METHODS}
        run = self

        def start(decoder: ans.Decoder, data: bytes) -> None:
            kept["__init__"](decoder, data)
            decoder.record = ans.Encoder()
            run.streams.append((data, decoder.record))

        def take(decoder: ans.Decoder, count: int, table: ans.Table) -> np.ndarray:
            return run._taken(decoder, count, table.model, table.floor, table.size)

        def take_runs(decoder: ans.Decoder, out: np.ndarray, runs: Sequence[tuple[int, int, ans.Table]]) -> None:
            for first, last, table in runs:
                out[first:last] = take(decoder, last - first, table)

        def take_rows(decoder: ans.Decoder, count: int, tables: ans.Rows) -> np.ndarray:
            floor = tables.floor / max(len(tables), 1)
            rows = [run._taken(decoder, count, m, floor, tables.rows.shape[1]) for m in tables.models]
            return np.concatenate([np.empty(0, np.int32), *rows]).reshape(len(rows), count)

        def take_uniform(decoder: ans.Decoder, count: int, size: int) -> np.ndarray:
            values = np.zeros(count, np.int64)
            for shift, chunk in ans._chunks(size):
                values |= run._taken(decoder, count, *ans._uniform(chunk), chunk).astype(np.int64) << shift
            return values

        new = dict(zip(_METHODS, (start, take, take_runs, take_rows, take_uniform, lambda decoder: None), strict=True))
        try:
            for name, method in new.items():
                setattr(ans.Decoder, name, method)
            yield
        finally:
            for name, method in kept.items():
                setattr(ans.Decoder, name, method)

    def _taken(self, decoder: ans.Decoder, count: int, model: object, floor: float, size: int) -> np.ndarray:
        if not count:
            return np.empty(0, np.int32)
        self.symbols += count
        if self.symbols > _MOST:
            raise TooMany
        symbols = decoder._coder.decode(model, count)
        if self.calls == self.target:
            symbols = self._changed(symbols, size)
        self.calls += 1
        decoder.record._append(np.ascontiguousarray(symbols, np.int32), model, floor)
        return symbols

    def _changed(self, symbols: np.ndarray, size: int) -> np.ndarray:
        """One symbol or all, at random or at an end of the table."""
        symbols, way = symbols.copy(), self.rng.integers(4)
        value = int(self.rng.choice([0, size - 1])) if way % 2 else int(self.rng.integers(size))
        if way < 2:
            symbols[self.rng.integers(len(symbols))] = value
        else:
            symbols[:] = value if way == 3 else self.rng.integers(size, size=len(symbols))
        return symbols
