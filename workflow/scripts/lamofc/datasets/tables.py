"""Rows of the table files that data sets are published in: Parquet, Arrow streams, JSON lines, compressed or not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lamofc.errors import ConfigError, FetchError
from lamofc.fetch.unpacked import find_all

BATCH = 64  # rows held at once: audio columns carry whole files


def rows(packages: Mapping[str, Path], pattern: str, columns: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """Rows of all files matching the glob `pattern`, in path order.

    `columns` must be there; a Parquet file is read no further than them. FetchError when no file matches,
    ConfigError for a file that is damaged, of another format, or lacks a column.
    """
    for path in find_all(packages, pattern):
        try:
            yield from _read(path, list(columns))
        except (ValueError, OSError, KeyError) as error:  # pyarrow's and json's errors are ValueErrors
            raise ConfigError(f"{path}: {error}; fetch the package again, or name the right files") from error


def _read(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    name = path.name
    if name.endswith(".parquet"):
        yield from _parquet(path, columns)
    elif name.endswith(".arrow"):
        yield from _arrow(path, columns)
    elif name.endswith((".jsonl", ".jsonl.gz", ".json.gz")):
        yield from _lines(path, columns)
    else:
        raise FetchError(f"{path}: tables are read from .parquet, .arrow, .jsonl or .jsonl.gz")


def _parquet(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        _require(set(file.schema_arrow.names), columns)
        for batch in file.iter_batches(BATCH, columns=columns or None):
            yield from batch.to_pylist()


def _arrow(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    from pyarrow import ipc

    with open(path, "rb") as file, ipc.open_stream(file) as stream:
        _require(set(stream.schema.names), columns)
        for batch in stream:
            yield from batch.select(columns or stream.schema.names).to_pylist()


def _lines(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for line in filter(str.strip, file):
            row = json.loads(line)
            _require(set(row), columns)
            yield row


def _require(found: set[str], columns: list[str]) -> None:
    missing = [c for c in columns if c not in found]
    if missing:
        raise KeyError(f"column {missing[0]!r} is missing; there are {', '.join(sorted(found))}")
