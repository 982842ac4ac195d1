"""Reader of CTranslate2 `model.bin` files (binary versions 4 to 6): named arrays, and aliases between them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamofc.convert import ConvertError

_DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}


@dataclass(frozen=True)
class Ct2Weights:
    spec: str
    tensors: dict[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.tensors:
            raise ConvertError(f"the CTranslate2 model holds no {name!r}")
        return self.tensors[name]


class _Cursor:
    """Takes numbers, texts and blocks off a byte string and never reads past its end."""

    def __init__(self, data: bytes):
        self.data, self.at = memoryview(data), 0

    def block(self, size: int) -> memoryview:
        if self.at + size > len(self.data):
            raise ConvertError(f"CTranslate2 model is truncated: {size} bytes wanted at offset {self.at}, "
                               f"{len(self.data) - self.at} left; fetch the package again")  # fmt: skip
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.block(struct.calcsize(code)))[0]

    def text(self) -> str:
        raw = bytes(self.block(self.number("H")))
        if not raw.endswith(b"\0"):
            raise ConvertError(f"CTranslate2 model is damaged: name at offset {self.at} has no end mark")
        return raw[:-1].decode(errors="replace")


def _array(cursor: _Cursor) -> np.ndarray:
    shape = [cursor.number("I") for _ in range(cursor.number("B"))]
    code, size = cursor.number("B"), cursor.number("I")
    if code not in _DTYPES:
        raise ConvertError(f"CTranslate2 model has a tensor of unknown type {code}")
    if size != int(np.prod(shape, dtype=np.int64)) * np.dtype(_DTYPES[code]).itemsize:
        raise ConvertError(f"CTranslate2 model is damaged: {size} bytes for a tensor of shape {shape}")
    return np.frombuffer(cursor.block(size), _DTYPES[code]).reshape(shape)


def read_ct2(data: bytes) -> Ct2Weights:
    """Parse the bytes of a model.bin; ConvertError when truncated, damaged or of another version."""
    cursor = _Cursor(data)
    version = cursor.number("I")
    if not 4 <= version <= 6:
        raise ConvertError(f"CTranslate2 binary version {version} is not supported; 4 to 6 are")
    spec, _revision = cursor.text(), cursor.number("I")
    tensors: dict[str, np.ndarray] = {}
    for _ in range(cursor.number("I")):
        name = cursor.text()
        tensors[name] = _array(cursor)
    for _ in range(cursor.number("I")):
        alias, target = cursor.text(), cursor.text()
        if target not in tensors:
            raise ConvertError(f"CTranslate2 model is damaged: {alias!r} stands for {target!r}, which is not there")
        tensors[alias] = tensors[target]
    return Ct2Weights(spec, tensors)
