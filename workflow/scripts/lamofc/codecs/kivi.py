"""Keys per channel, values per token, in small groups of few bits: the tuning-free KV cache quantiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lamofc import interfaces
from lamofc.codecs.with_side import WithSideCoder
from lamofc.dtypes import from_float32, to_float32
from lamofc.entropy import coded, packed
from lamofc.errors import BitstreamError
from lamofc.interfaces import Assets, TensorSpec
from lamofc.quantisers import minmax

_USUAL = (2.0**-10, 3e4)  # largest absolute values that need no common exponent to suit float16
_EXPONENTS = 127


@dataclass(frozen=True)
class Codec(interfaces.Codec):
    """KIVI (Liu et al. 2024): asymmetric integers between each group's minimum and maximum.

    bits: the knob, 1 .. 8 per value. Two float16 for every `group` values come on top: one bit per value at 32.
    group: consecutive tokens of a channel (keys), consecutive channels of a token's head (values).
    residual: how many of the last tokens stay as they are; the paper has 128 of its long contexts.
    entropy: code integers, steps, minima and the residual under tables fitted to them, instead of packing them.
    """

    knob: ClassVar[str] = "bits"
    family: ClassVar[str] = "kv"
    kinds: ClassVar[frozenset[str]] = frozenset({"key", "value"})

    bits: int = 4
    group: int = 32
    residual: int = 32
    entropy: bool = False

    def __post_init__(self) -> None:
        if self.bits not in range(1, 9):
            raise ValueError(f"bits {self.bits} is outside 1 .. 8")
        if self.group < 1 or self.residual < 0:
            raise ValueError(f"group {self.group} must be positive, residual {self.residual} must not be negative")

    def coder(self, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
        return Coder(self, specs)


class Coder(WithSideCoder):
    """Payload: integers, then the residual. Side: an exponent (one signed byte), then steps and minima."""

    def __init__(self, codec: Codec, specs: Sequence[TensorSpec]) -> None:
        super().__init__(specs)
        self.codec, self.store = codec, coded if codec.entropy else packed

    def encode_tensor(self, array: np.ndarray, spec: TensorSpec) -> tuple[bytes, bytes]:
        split = self._split(array.shape[1])
        head = to_float32(array[:, :split])
        exponent = _exponent(float(np.abs(head).max(initial=0)))
        matrix = _to_matrix(np.ldexp(head, -exponent), spec)
        levels, steps, minima = minmax.quantise(matrix, self.codec.group, self.codec.bits)
        side = self.store.put(levels[:0], self.codec.bits, np.stack([steps, minima]))
        payload = self.store.put(levels, self.codec.bits, array[:, split:])
        return payload, exponent.to_bytes(1, "little", signed=True) + side

    def decode_tensor(self, payload: bytes, side: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> np.ndarray:
        split = self._split(shape[1])
        rows, count = _matrix_shape(shape, split, spec)
        scales_shape = (2, rows, minmax.groups(count, self.codec.group))
        steps, minima = self.store.take(side[1:], 0, self.codec.bits, "float16", scales_shape)[1]
        tail = (shape[0], shape[1] - split, shape[2])
        levels, residual = self.store.take(payload, rows * count, self.codec.bits, spec.dtype, tail)
        if not np.isfinite(to_float32(residual)).all():
            raise BitstreamError(f"{spec.name}: the residual holds NaN or infinity")
        matrix = minmax.dequantise(levels.reshape(rows, count), steps, minima, self.codec.group)
        exponent = int.from_bytes(side[:1], "little", signed=True)
        head = _from_matrix(_ldexp(matrix, exponent), (shape[0], split, shape[2]), spec)
        return np.concatenate([from_float32(head, spec.dtype), residual], 1)

    def _split(self, tokens: int) -> int:
        """Tokens before the residual."""
        return max(0, tokens - self.codec.residual)


def _exponent(largest: float) -> int:
    """Power of two by which values are divided so that float16 holds their groups' minima and steps."""
    if largest == 0 or _USUAL[0] <= largest <= _USUAL[1]:
        return 0
    return int(np.clip(np.ceil(np.log2(largest)), -_EXPONENTS, _EXPONENTS))


def _ldexp(matrix: np.ndarray, exponent: int) -> np.ndarray:
    largest = np.finfo(np.float32).max
    with np.errstate(over="ignore"):
        return np.clip(np.ldexp(matrix, exponent), -largest, largest)


def _to_matrix(heads: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """(heads, tokens, head_dim) -> rows along which groups run: channels of a key, tokens of a value."""
    if spec.kind == "key":
        heads = heads.transpose(0, 2, 1)
    return np.ascontiguousarray(heads).reshape(_matrix_shape(heads.shape, heads.shape[1], None))


def _from_matrix(matrix: np.ndarray, shape: tuple[int, ...], spec: TensorSpec) -> np.ndarray:
    if spec.kind == "key":
        return matrix.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1)
    return matrix.reshape(shape)


def _matrix_shape(shape: tuple[int, ...], tokens: int, spec: TensorSpec | None) -> tuple[int, int]:
    if spec is not None and spec.kind == "key":
        return shape[0] * shape[2], tokens
    return shape[0] * tokens, shape[2]
