"""Tensors out of files written by torch.save, without unpickling: the pickle is read as a list of opcodes.

Only what a dictionary of tensors consists of is understood; every other name in the file is an error, and nothing
that the file names is ever imported or called.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lamofc.convert import ConvertError
from lamofc.dtypes import BFLOAT16

STORAGES = {
    "FloatStorage": np.dtype("<f4"), "HalfStorage": np.dtype("<f2"), "BFloat16Storage": BFLOAT16,
    "DoubleStorage": np.dtype("<f8"), "LongStorage": np.dtype("<i8"), "IntStorage": np.dtype("<i4"),
    "ByteStorage": np.dtype("u1"), "BoolStorage": np.dtype("?"),
}  # fmt: skip


class Name(NamedTuple):
    module: str
    name: str


class Storage(NamedTuple):
    dtype: np.dtype
    key: str
    count: int


class Tensor(NamedTuple):
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_MARK = object()
_MAGIC = 0x1950A86A20F9469CFC6C


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """The state dict in a .pth file, at whatever depth it lies. ConvertError if it is damaged or holds other things."""
    try:
        if not zipfile.is_zipfile(path):
            return _before_zip(path)
        with zipfile.ZipFile(path) as archive:
            (index,) = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            tree = _Reader().run(archive.read(index))
            found = _tensors(tree)
            folder = index.removesuffix("data.pkl")
            return {k: _array(t, archive.read(f"{folder}data/{t.storage.key}")) for k, t in found.items()}
    except (zipfile.BadZipFile, KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise ConvertError(f"{path} is no intact file of torch.save: {error}") from error


def _before_zip(path: Path) -> dict[str, np.ndarray]:
    """Files of PyTorch before 1.6: a magic number, two pickles on the machine, the dictionary, the keys of storages in
    the order in which their counts and values follow."""
    with open(path, "rb") as file:
        if _Reader().run(file) != _MAGIC:
            raise ValueError("neither a ZIP archive nor the format before it")
        _, facts, tree, keys = (_Reader().run(file) for _ in range(4))
        if not facts["little_endian"]:
            raise ValueError("big-endian values")
        found = _tensors(tree)
        sizes = {t.storage.key: t.storage.dtype.itemsize for t in found.values()}
        values = {k: file.read(int.from_bytes(file.read(8), "little") * sizes[k]) for k in keys}
        return {k: _array(t, values[t.storage.key]) for k, t in found.items()}


def _tensors(tree: Any) -> dict[str, Tensor]:
    if not isinstance(tree, Mapping):
        raise ConvertError(f"a dictionary of tensors was expected, not {type(tree).__name__}")
    if isinstance(tree.get("state_dict"), Mapping):  # beside a loss, optimisers, an epoch
        return _tensors(tree["state_dict"])
    own = {k: v for k, v in tree.items() if isinstance(v, Tensor)}
    inner = [v for v in tree.values() if isinstance(v, Mapping) and v]
    if own or not inner:
        return own
    return _tensors(inner[0])


def _array(tensor: Tensor, data: bytes) -> np.ndarray:
    flat = np.frombuffer(data, tensor.storage.dtype, tensor.storage.count)
    sizes = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((n - 1) * step for n, step in sizes)
    if min(tensor.shape, default=1) < 0 or min((tensor.offset, *tensor.strides)) < 0 or last >= len(flat):
        raise ConvertError(f"a tensor of shape {tensor.shape} does not lie in its storage of {len(flat)} values")
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, flat.dtype)
    steps = [step * flat.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps).copy()


class _Reader:
    """A stack machine over the opcodes that torch.save writes for dictionaries, lists, numbers, text and tensors."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes | BinaryIO) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            step = getattr(self, f"_{opcode.name.lower()}", None)
            if step is None:
                raise ConvertError(f"a file of tensors holds no {opcode.name}")
            step(argument)
        return self.stack.pop()

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    _binunicode = _short_binunicode = _binint = _binint1 = _binint2 = _long1 = _binfloat = _push

    def _nothing(self, argument: Any) -> None: ...

    _proto = _frame = _stop = _nothing

    def _none(self, _: Any) -> None:
        self._push(None)

    def _newtrue(self, _: Any) -> None:
        self._push(True)

    def _newfalse(self, _: Any) -> None:
        self._push(False)

    def _mark(self, _: Any) -> None:
        self._push(_MARK)

    def _empty_dict(self, _: Any) -> None:
        self._push({})

    def _empty_list(self, _: Any) -> None:
        self._push([])

    def _empty_tuple(self, _: Any) -> None:
        self._push(())

    def _put(self, slot: int) -> None:
        self.memo[slot] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, slot: int) -> None:
        self._push(self.memo[slot])

    _binget = _long_binget = _get

    def _global(self, names: str) -> None:
        self._push(Name(*names.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        self._push(Name(*self._take(2)))

    def _take(self, count: int) -> list[Any]:
        if not count:
            return []
        taken, self.stack = self.stack[-count:], self.stack[:-count]
        return taken

    def _since_mark(self) -> list[Any]:
        place = max(i for i, v in enumerate(self.stack) if v is _MARK)
        taken, self.stack = self.stack[place + 1 :], self.stack[:place]
        return taken

    def _tuple(self, _: Any) -> None:
        self._push(tuple(self._since_mark()))

    def _tuple1(self, _: Any) -> None:
        self._push(tuple(self._take(1)))

    def _tuple2(self, _: Any) -> None:
        self._push(tuple(self._take(2)))

    def _tuple3(self, _: Any) -> None:
        self._push(tuple(self._take(3)))

    def _setitem(self, _: Any) -> None:
        key, value = self._take(2)
        self.stack[-1][key] = value

    def _setitems(self, _: Any) -> None:
        flat = self._since_mark()
        self.stack[-1].update(zip(flat[::2], flat[1::2], strict=True))

    def _append(self, _: Any) -> None:
        (value,) = self._take(1)
        self.stack[-1].append(value)

    def _appends(self, _: Any) -> None:
        values = self._since_mark()
        self.stack[-1].extend(values)

    def _build(self, _: Any) -> None:
        self._take(1)  # a state dict's notes on module versions

    def _binpersid(self, _: Any) -> None:
        ((_, kind, key, _, count, *_),) = self._take(1)
        if not isinstance(kind, Name) or kind.module != "torch" or kind.name not in STORAGES:
            raise ConvertError(f"storage {kind} is not one of {', '.join(STORAGES)}")
        self._push(Storage(STORAGES[kind.name], key, count))

    def _reduce(self, _: Any) -> None:
        function, arguments = self._take(2)
        if function == Name("torch._utils", "_rebuild_tensor_v2"):
            self._push(Tensor(*arguments[:4]))
        elif function == Name("torch._utils", "_rebuild_parameter"):
            self._push(arguments[0])
        elif function == Name("collections", "OrderedDict"):
            self._push({})
        else:
            raise ConvertError(f"the file wants to call {'.'.join(function)}, which no file of tensors does")
