"""One torch file, zstd-compressed or not, from a stranger: bounded, and nothing but tensors in lists and dicts."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
import zstandard

from lamofc.errors import FeatureError
from lamofc.models.torch_arrays import to_numpy

MAX_BYTES = 1 << 33  # of one sample, decompressed
MAX_WINDOW = 1 << 27  # memory that a zstd frame may ask for
MAX_DEPTH = 8
_ZSTD, _ZIP = b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_STEP = 1 << 20


def load(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """-> what the file holds, tensors as numpy arrays (bfloat16 stays). FeatureError names the file and the reason."""
    data = _plain(path, max_bytes)
    _check_zip(path, data, max_bytes)
    try:
        held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch's restricted unpickler lets much through: its own, zip's and plain Python's
        if type(error).__name__ == "UnpicklingError":
            raise FeatureError(
                f"{path}: refused, it holds more than tensors in lists and dicts ({_first_line(error)}); "
                "loading it could run code"
            ) from None
        raise FeatureError(f"{path}: damaged torch file ({_first_line(error)}); get it again") from None
    return _arrays(held, path, _Budget(max_bytes), 0)


def _plain(path: Path, max_bytes: int) -> bytes:
    """The file without its compression, at most `max_bytes`."""
    if not path.is_file():
        raise FeatureError(f"{path}: no such file")
    out = io.BytesIO()
    with open(path, "rb") as file:
        compressed = file.read(4) == _ZSTD
        file.seek(0)
        source = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(file) if compressed else file
        try:
            while block := source.read(_STEP):
                if out.tell() + len(block) > max_bytes:
                    raise FeatureError(
                        f"{path}: more than {max_bytes} bytes decompressed; raise --max-bytes if it is sound"
                    )
                out.write(block)
        except zstandard.ZstdError as error:
            raise FeatureError(f"{path}: damaged zstd stream ({error}); get it again") from None
    return out.getvalue()


def _check_zip(path: Path, data: bytes, max_bytes: int) -> None:
    """torch's container is a zip of stored files: refuse others before torch allocates what their headers claim."""
    if not data.startswith(_ZIP):
        raise FeatureError(f"{path}: not a torch file (or one cut short, or from before torch 1.6): save it again")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as container:
            members = container.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError) as error:
        raise FeatureError(f"{path}: damaged torch file ({error}); get it again") from None
    if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > max_bytes:
        raise FeatureError(f"{path}: its container claims more than it holds: refused")


class _Budget:
    """Bytes that a file's tensors may still take: views with stride 0 claim more than the file holds."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, tensor: torch.Tensor, path: Path) -> None:
        self.left -= tensor.numel() * tensor.element_size()
        if self.left < 0:
            raise FeatureError(f"{path}: its tensors claim more bytes than a sample may have: refused")


def _arrays(value: Any, path: Path, budget: _Budget, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise FeatureError(f"{path}: lists and dicts nested deeper than {MAX_DEPTH}: not a file of features")
    if type(value) is torch.Tensor and value.layout == torch.strided and not value.is_quantized:
        budget.take(value, path)
        return to_numpy(value)
    if isinstance(value, dict):
        return {str(k): _arrays(v, path, budget, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_arrays(v, path, budget, depth + 1) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise FeatureError(f"{path}: holds a {type(value).__name__} where tensors in lists and dicts are expected")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
