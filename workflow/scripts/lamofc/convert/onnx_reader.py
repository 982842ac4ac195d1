"""The two things a conversion needs from an ONNX file: its weights, and which node uses which.

An ONNX file is a protocol buffer: a sequence of (field number, wire type, value). Only four message
types matter here, so forty lines replace a dependency that would have to match the numpy in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lamofc.convert import ConvertError

_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER = 7, 1, 5
_NODE_INPUT, _NODE_NAME, _NODE_OPERATOR = 1, 3, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_LOCATION = 1, 2, 8, 9, 14
_DTYPES = {1: "<f4", 7: "<i8", 10: "<f2", 11: "<f8"}


@dataclass(frozen=True)
class Node:
    name: str
    operator: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class OnnxWeights:
    tensors: dict[str, np.ndarray]
    nodes: tuple[Node, ...]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ConvertError("ONNX file is truncated or damaged: unfinished number")
        byte = data[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 2, 5):
            size, at = _varint(data, at) if wire == 2 else ((8 if wire == 1 else 4), at)
            if at + size > len(data):
                raise ConvertError(f"ONNX file is truncated or damaged: field of {size} bytes, {len(data) - at} left")
            value, at = data[at : at + size], at + size
        else:
            raise ConvertError(f"ONNX file is damaged: wire type {wire}")
        yield key >> 3, value


def _dims(value: int | memoryview) -> list[int]:
    if isinstance(value, int):
        return [value]
    dims, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        dims.append(number)
    return dims


def _tensor(data: memoryview) -> tuple[str, np.ndarray | None]:
    dims, kind, name, raw = [], 0, "", memoryview(b"")
    for number, value in _fields(data):
        if number == _TENSOR_DIMS:
            dims += _dims(value)
        elif number == _TENSOR_TYPE:
            kind = value
        elif number == _TENSOR_NAME:
            name = bytes(value).decode()
        elif number == _TENSOR_RAW:
            raw = value
        elif number == _TENSOR_LOCATION and value:
            raise ConvertError(f"ONNX weight {name} is kept in another file, which is not supported")
    if kind not in _DTYPES:
        return name, None
    if len(raw) != int(np.prod(dims)) * np.dtype(_DTYPES[kind]).itemsize:
        raise ConvertError(f"ONNX weight {name} of shape {dims} has {len(raw)} bytes")
    return name, np.frombuffer(raw, _DTYPES[kind]).reshape(dims)


def _node(data: memoryview) -> Node:
    text = [(number, bytes(value).decode()) for number, value in _fields(data) if number in (1, 3, 4)]
    first = dict(reversed(text))
    return Node(first.get(_NODE_NAME, ""), first.get(_NODE_OPERATOR, ""), tuple(v for n, v in text if n == _NODE_INPUT))


def read_onnx(path: Path) -> OnnxWeights:
    """Weights (read-only views of the file's bytes) and nodes; ConvertError if the file is damaged.

    Weights of types other than floats and int64 are left out.
    """
    whole = memoryview(Path(path).read_bytes())
    graph = next((value for number, value in _fields(whole) if number == _MODEL_GRAPH), None)
    if not isinstance(graph, memoryview):
        raise ConvertError(f"{path} holds no ONNX graph")
    tensors: dict[str, np.ndarray] = {}
    nodes = []
    for number, value in _fields(graph):
        if number == _GRAPH_INITIALIZER:
            name, array = _tensor(value)
            if array is not None:
                tensors[name] = array
        elif number == _GRAPH_NODE:
            nodes.append(_node(value))
    return OnnxWeights(tensors, tuple(nodes))
