"""Synthetic features of every tensor kind, shared by the tests of codecs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import yaml

from lamofc import codecs
from lamofc.dtypes import from_float32, numpy_dtype
from lamofc.interfaces import NATIVE_DTYPES, Sample, TensorSpec
from lamofc.networks import files as networks

ROPE = {"rope_theta": 1e4}
SHAPES = {
    "tokens": (None, 24),
    "key": (2, None, 8),
    "value": (2, None, 8),
    "ssm": (48, 16),
    "conv": (48, 4),
    "latent": (4, 9, 11),
    "embedding": (7, 24),
    "pooled": (37,),
}
ASPECTS = {
    "tokens": [((None, 1), 300), ((None, 700), 1)],
    "key": [((1, None, 2), 300), ((5, None, 32), 1)],
    "value": [((1, None, 2), 300), ((5, None, 32), 1)],
    "ssm": [((1, 1), 0), ((500, 1), 0), ((1, 200), 0), ((0, 4), 0)],
    "conv": [((1, 4), 0), ((500, 1), 0), ((3, 0), 0)],
    "latent": [((1, 1, 1), 0), ((1, 300, 1), 0), ((65, 1, 3), 0), ((4, 0, 2), 0)],
    "embedding": [((1, 1), 0), ((1, 500), 0), ((500, 1), 0), ((0, 8), 0)],
    "pooled": [((0,), 0), ((1,), 0), ((2,), 0), ((1500,), 0)],
}


def spec(kind: str, dtype: str, shape: tuple | None = None, name: str | None = None, layer: int = 0) -> TensorSpec:
    attributes = {"key": ROPE, "tokens": {"grid": [5, 7], "prefix": 2}}.get(kind, {})
    if kind == "tokens" and shape is not None:
        attributes = {}
    return TensorSpec(name or kind, kind, dtype, shape or SHAPES[kind], layer, dict(attributes))


def to_json(s: TensorSpec) -> dict:
    return {f.name: getattr(s, f.name) for f in fields(s)}


def from_json(values: dict) -> TensorSpec:
    return TensorSpec(**values)


def network_of(arm: dict) -> str | None:
    """Row of config/networks.yaml that a row of config/codecs.yaml runs."""
    codec = codecs.load(arm["codec"])
    if not getattr(codec, "network_field", None):
        return None
    return getattr(codecs.build(arm["codec"], arm.get("parameters", {})), codec.network_field)


def network_arrays(arm: dict, root: Path) -> dict[str, np.ndarray]:
    """Arrays of the network that ships for a row; none for rows without one. Skips the test where none ships."""
    name = network_of(arm)
    if name is None:
        return {}
    row = yaml.safe_load((root / "config/networks.yaml").read_text())[name]
    if "sha256" not in row:
        pytest.skip(f"network {name} does not ship")
    return {networks.PREFIX + k: v for k, v in networks.read(networks.shipped(name, row, root)).items()}


def mixed(kinds: frozenset[str], layers: int = 2) -> list[TensorSpec]:
    """A stream that holds several tensors of these kinds, in different dtypes."""
    out = []
    for i, kind in enumerate(sorted(kinds)):
        count = layers if kind in ("key", "value") else 1
        dtype = "bfloat16" if kind in ("key", "value") else NATIVE_DTYPES[i % 3]
        out += [spec(kind, dtype, name=f"{kind}{k}", layer=k) for k in range(count)]
    return out


def gaussian(specs: list[TensorSpec], length: int, seed: int) -> Sample:
    """Channels of scales that differ, two of them large, some dependence along tokens; as real features have."""
    rng = np.random.default_rng(seed)
    return {s.name: from_float32(_features(s, length, rng), s.dtype) for s in specs}


def _features(s: TensorSpec, length: int, rng: np.random.Generator) -> np.ndarray:
    shape = s.resolve(length)
    x = rng.standard_normal(shape).astype(np.float32)
    axis = {"latent": 0, "ssm": 0, "conv": 0}.get(s.kind, len(shape) - 1)
    scale = np.exp(np.random.default_rng(3).standard_normal(shape[axis])).astype(np.float32)
    scale[: 1 + len(scale) // 64] *= 10
    along = [1] * len(shape)
    along[axis] = -1
    x = x * scale.reshape(along)
    if x.ndim > 1 and s.ragged_axis is not None and x.size:
        x = x + np.roll(x, 1, s.ragged_axis)
    return x


def extremes(shape: tuple[int, ...], dtype: str) -> dict[str, np.ndarray]:
    """Arrays that break naive codecs, by name."""
    info = ml_dtypes.finfo(numpy_dtype(dtype))
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    flat = np.arange(x.size).reshape(shape)
    outlier = x * 1e-2
    outlier.ravel()[x.size // 2 : x.size // 2 + 1] = 1e2
    alternating = np.where(flat % 2, float(info.max), -float(info.max))
    small = (flat % 3 - 1) * float(info.smallest_subnormal)
    one_max = np.where(flat == x.size // 2, float(info.max), x)
    return {
        "zero": from_float32(np.zeros(shape, np.float32), dtype),
        "negative zero": from_float32(-np.zeros(shape, np.float32), dtype),
        "constant": from_float32(np.full(shape, 1.7, np.float32), dtype),
        "subnormal": small.astype(numpy_dtype(dtype)),
        "largest": alternating.astype(numpy_dtype(dtype)),
        "one largest": one_max.astype(numpy_dtype(dtype)),
        "outlier": from_float32(outlier, dtype),
        "tiny and huge": from_float32(np.where(flat % 2, 1e-4, 3e4).astype(np.float32), dtype),
    }
