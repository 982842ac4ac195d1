"""Features from files that users have: a Zarr feature store, or named arrays of one sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lamofc.dtypes import dtype_name
from lamofc.errors import ConfigError, FeatureError
from lamofc.interfaces import KINDS, Sample, TensorSpec
from lamofc.store import FeatureReader

_BY_DIMENSIONS = {1: "pooled", 2: "tokens", 3: "latent"}
_RAGGED = {"tokens": 0, "key": 1, "value": 1}


def read(path: Path, kinds: Mapping[str, str]) -> tuple[tuple[TensorSpec, ...], Iterable[tuple[str, Sample]]]:
    """Specs and (name, sample) pairs. `kinds` names the kind of arrays in a .safetensors or .npz file."""
    if path.is_dir():
        reader = FeatureReader(path)
        return reader.specs, zip(reader.ids, reader, strict=True)
    sample = _load(path)
    unknown = set(kinds) - set(sample)
    if unknown:
        raise ConfigError(f"--kind names {', '.join(sorted(unknown))}; {path} holds {', '.join(sample)}")
    specs = tuple(_spec(name, array, kinds.get(name)) for name, array in sample.items())
    return specs, [(path.stem, sample)]


def _load(path: Path) -> Sample:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file or store")
    try:
        if path.suffix == ".safetensors":
            return dict(sorted(load_file(path).items()))
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as found:
                return {name: np.ascontiguousarray(found[name]) for name in sorted(found)}
    except (SafetensorError, ValueError, OSError, KeyError) as error:
        raise FeatureError(f"{path}: cannot be read ({error})") from error
    raise ConfigError(f"{path}: neither a Zarr feature store nor *.safetensors nor *.npz")


def _spec(name: str, array: np.ndarray, kind: str | None) -> TensorSpec:
    """Kind as given, else from the last part of the name (`layer3.key`), else from the number of dimensions."""
    last = name.rsplit(".", 1)[-1]
    kind = kind or (last if last in KINDS else _BY_DIMENSIONS.get(array.ndim))
    dimensions = {"pooled": 1, "latent": 3, "key": 3, "value": 3}.get(kind, 2)
    if kind is None or array.ndim != dimensions:
        raise ConfigError(f"tensor {name} has {array.ndim} dimensions, kind {kind} has {dimensions}; use --kind")
    shape = tuple(None if i == _RAGGED.get(kind) else n for i, n in enumerate(array.shape))
    try:
        return TensorSpec(name, kind, dtype_name(array), shape)
    except FeatureError as error:
        raise FeatureError(f"tensor {name}: {error}; convert it first") from error
