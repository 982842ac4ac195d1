"""How published feature files are laid out, by family of model -> our tensors: name, kind, natural shape.

transformer      {output, key: one per layer, value: one per layer}
state-space      {output, ssm_state: one per layer, conv_state: one per layer}
vision           a tensor, or a list with one per block: tokens x channels, or crops x tokens x channels
text-to-image    nested dict of text encoders' outputs (matrices and pooled vectors), and VAE moments or a latent
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.dtypes import dtype_name
from lamofc.errors import ConfigError, FeatureError
from lamofc.interfaces import Sample, TensorSpec

AUTO = "auto"
Found = Iterator[tuple[str, str, int | None, np.ndarray]]  # name, kind, layer, array
_RAGGED = {"tokens": 0, "key": 1, "value": 1}
_DIMENSIONS = {"tokens": 2, "key": 3, "value": 3, "ssm": 2, "conv": 2, "latent": 3, "embedding": 2, "pooled": 1}
_BY_LAYER = {"key": "key", "value": "value", "ssm_state": "ssm", "conv_state": "conv"}
_CACHED = {"transformer": {"output", "key", "value"}, "state-space": {"output", "ssm_state", "conv_state"}}


def sample_of(
    held: Any, schema: str, path: Path, rope_theta: float | None = None
) -> tuple[tuple[TensorSpec, ...], Sample]:
    """Specs and arrays of one sample; FeatureError when the file is not laid out as `schema` says."""
    schema = _guess(held, path) if schema == AUTO else schema
    if schema not in READERS:
        raise ConfigError(f"schema {schema!r} is none of {', '.join([*READERS, AUTO])}")
    specs, sample = [], {}
    for name, kind, layer, array in READERS[schema](held, path):
        array = _squeezed(array, kind, path, name)
        shape = tuple(None if i == _RAGGED.get(kind) else n for i, n in enumerate(array.shape))
        attributes = {"rope_theta": rope_theta} if kind == "key" and rope_theta else {}
        try:
            specs.append(TensorSpec(name, kind, dtype_name(array), shape, layer, attributes))
        except (FeatureError, ConfigError) as error:
            raise FeatureError(f"{path}: tensor {name}: {error}") from None
        sample[name] = array
    if not specs:
        raise FeatureError(f"{path}: holds no tensor")
    return tuple(specs), sample


def _guess(held: Any, path: Path) -> str:
    if isinstance(held, (list, np.ndarray)):
        return "vision"
    if isinstance(held, dict):
        for schema, keys in _CACHED.items():
            if set(held) == keys:
                return schema
        if held and not set(held) & {"output", *_BY_LAYER}:
            return "text-to-image"
    keys = sorted(held) if isinstance(held, dict) else type(held).__name__
    raise FeatureError(f"{path}: {keys} is no layout known here; see docs/import.md and --schema")


def _cached(schema: str) -> Callable[[Any, Path], Found]:
    """Reader of a hidden state and the caches of the layers before the split."""

    def read(held: Any, path: Path) -> Found:
        if not isinstance(held, dict) or set(held) != _CACHED[schema]:
            got = sorted(held) if isinstance(held, dict) else f"a {type(held).__name__}"
            raise FeatureError(f"{path}: {got} where a dict of {sorted(_CACHED[schema])} is expected")
        caches = {k: _listed(held[k], path, k) for k in sorted(held) if k != "output"}
        if len({len(c) for c in caches.values()}) != 1:
            counts = {k: len(c) for k, c in caches.items()}
            raise FeatureError(f"{path}: layers {counts}: each list must have one entry per layer")
        outputs = _listed(held["output"], path, "output")
        if len(outputs) != 1:
            raise FeatureError(
                f"{path}: output has {len(outputs)} entries; the hidden state at the split alone is read"
            )
        layers = len(next(iter(caches.values())))
        for layer in range(layers):
            for key, cache in caches.items():
                yield f"layer{layer}.{_BY_LAYER[key]}", _BY_LAYER[key], layer, _array(cache[layer], path, key)
        yield "output", "tokens", layers - 1, _array(outputs[0], path, "output")

    return read


def _vision(held: Any, path: Path) -> Found:
    blocks = _listed(held, path, "blocks")
    for i, block in enumerate(blocks):
        array = _array(block, path, f"block {i}")
        if array.ndim > 2:
            array = array.reshape(-1, array.shape[-1])  # crops and views one after another
        yield f"block{i}", "tokens", i, array


def _text_to_image(held: Any, path: Path) -> Found:
    if not isinstance(held, dict):
        raise FeatureError(f"{path}: a {type(held).__name__} where a dict of text encoders and moments is expected")
    for name, array in _leaves(held, ""):
        squeezed = array[0] if array.ndim > 1 and array.shape[0] == 1 else array
        kind = {1: "pooled", 2: "embedding", 3: "latent"}.get(squeezed.ndim)
        if kind is None:
            raise FeatureError(f"{path}: {name} has shape {array.shape}: neither vector, matrix nor latent")
        yield name, kind, None, squeezed


READERS: dict[str, Callable[[Any, Path], Found]] = {
    "transformer": _cached("transformer"),
    "state-space": _cached("state-space"),
    "vision": _vision,
    "text-to-image": _text_to_image,
}


def _leaves(value: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, np.ndarray):
        yield name, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _leaves(inner, f"{name}.{key}" if name else str(key))


def _listed(value: Any, path: Path, name: str) -> Sequence[Any]:
    if isinstance(value, np.ndarray):
        return [value]
    if not isinstance(value, list) or not value:
        raise FeatureError(f"{path}: {name} is a {type(value).__name__}; a tensor or a list of tensors is expected")
    return value


def _array(value: Any, path: Path, name: str) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        raise FeatureError(f"{path}: {name} holds a {type(value).__name__} where a tensor is expected")
    return value


def _squeezed(array: np.ndarray, kind: str, path: Path, name: str) -> np.ndarray:
    """Without leading batch axes of length one; FeatureError when more remains than the kind has."""
    while array.ndim > _DIMENSIONS[kind] and array.shape[0] == 1:
        array = array[0]
    if array.ndim != _DIMENSIONS[kind]:
        raise FeatureError(
            f"{path}: {name} has shape {array.shape}; {kind} takes {_DIMENSIONS[kind]} dimensions of one sample"
        )
    return np.ascontiguousarray(array)
