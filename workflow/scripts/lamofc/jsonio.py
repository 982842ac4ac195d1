"""JSON with numpy arrays in it: side inputs, truths and outputs of samples, one line each."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.whole import whole_file

_KEY = "__array__"
_DTYPES = {"bool", "uint8", "int32", "int64", "float32", "float64"}


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    name = value.dtype.name
    if name not in _DTYPES:
        raise TypeError(f"array of {name} cannot be written as JSON; use one of {', '.join(sorted(_DTYPES))}")
    raw = np.packbits(value) if name == "bool" else np.ascontiguousarray(value)
    return {_KEY: name, "shape": list(value.shape), "data": base64.b64encode(raw.tobytes()).decode()}


def _decode(fields: dict[str, Any]) -> Any:
    if _KEY not in fields:
        return fields
    name, shape = fields[_KEY], tuple(fields["shape"])
    if name not in _DTYPES:
        raise ValueError(f"array of {name!r} in JSON; only {', '.join(sorted(_DTYPES))} are read")
    raw = base64.b64decode(fields["data"])
    if name == "bool":
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=int(np.prod(shape)))
        return bits.astype(bool).reshape(shape)
    return np.frombuffer(raw, name).reshape(shape).copy()


def dumps(value: Any) -> str:
    """Compact JSON with sorted keys: equal values give equal bytes."""
    return json.dumps(value, default=_encode, sort_keys=True, separators=(",", ":"))


def loads(text: str) -> Any:
    """Inverse of `dumps`; tuples come back as lists."""
    return json.loads(text, object_hook=_decode)


def write_text(path: Path, text: str) -> None:
    """Write a file that appears under its name only when it is whole."""
    with whole_file(path) as partial:
        partial.write_text(text)


def write_json(path: Path, value: Any) -> None:
    write_text(path, dumps(value) + "\n")


def read_json(path: Path) -> Any:
    return loads(Path(path).read_text())


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """One line per value, written as it comes: memory holds one value at a time."""
    with whole_file(path) as partial, open(partial, "w") as file:
        file.writelines(dumps(v) + "\n" for v in values)


def read_lines(path: Path) -> Iterator[Any]:
    with open(path) as file:
        for line in file:
            yield loads(line)
