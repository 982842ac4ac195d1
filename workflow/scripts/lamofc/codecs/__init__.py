"""Codecs by name: `lamofc/codecs/<name>.py` holds a class `Codec`; dashes in names become underscores."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from lamofc.errors import ConfigError
from lamofc.interfaces import Assets, Codec, Coder, Sample, TensorSpec

Entry = Mapping[str, Any]  # {"codec": name, "parameters": {...}, "fallback": Entry (optional)}
FALLBACK = "fallback/"  # prefix of the fallback's arrays among a stream's assets


def module_name(name: str) -> str:
    """Dotted module of a codec; ConfigError if the name could not be one."""
    if not re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", name):
        raise ConfigError(f"codec name {name!r}: use lower-case letters, digits and single dashes")
    return f"lamofc.codecs.{name.replace('-', '_')}"


def load(name: str) -> type[Codec]:
    """The codec class of that name; ConfigError names the file that is missing."""
    module = module_name(name)
    try:
        return importlib.import_module(module).Codec
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        path = f"workflow/scripts/{module.replace('.', '/')}.py"
        raise ConfigError(f"codec {name!r} is unknown: there is no {path}") from None


def build(name: str, parameters: Mapping[str, Any]) -> Codec:
    """A codec with these parameters; ConfigError on keys it does not have or values it refuses."""
    cls = load(name)
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise ConfigError(
            f"codec {name}: unknown key {', '.join(unknown)}; it has {', '.join(sorted(known)) or 'none'}"
        )
    _check_types(name, {f.name: f.type for f in fields(cls)}, parameters)
    try:
        return cls(**parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"codec {name}: {error}") from error


_TYPES = {"bool": bool, "int": int, "float": (int, float), "str": str}  # annotations of codecs' fields


def _check_types(name: str, annotated: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
    """ConfigError where a value is of another type: a number in place of a yes would be taken for many of them."""
    for key, value in parameters.items():
        wanted = _TYPES.get(annotated[key], object)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted not in (bool, object)):
            raise ConfigError(f"codec {name}: {key} {value!r} is no {annotated[key]}")


def at_point(entry: Entry, point: Any) -> dict[str, Any]:
    """A config entry at one ladder point. A point is the knob's value or a mapping of parameters,
    in which `fallback` holds parameters of the fallback."""
    name, parameters = entry["codec"], dict(entry.get("parameters", {}))
    changes = dict(point) if isinstance(point, Mapping) else {load(name).knob: point}
    fallback = entry.get("fallback")
    changed_fallback = changes.pop("fallback", {})
    out: dict[str, Any] = {"codec": name, "parameters": parameters | changes}
    if fallback is not None:
        merged = dict(fallback.get("parameters", {})) | changed_fallback
        out["fallback"] = {"codec": fallback["codec"], "parameters": merged}
    return out


def point_name(entry: Entry, point: Any) -> str:
    """The knob's value as written in tables and file names."""
    value = point[load(entry["codec"]).knob] if isinstance(point, Mapping) else point
    return f"{value:g}" if isinstance(value, float) else str(value)


def named(entry: Entry) -> dict[str, Any]:
    """An entry as a header holds it: with the parameters whose defaults earlier streams did not have."""
    own = build(entry["codec"], entry.get("parameters", {}))
    return _with_parameters(entry, {k: getattr(own, k) for k in own.unnamed}, named)


def unnamed(entry: Entry) -> dict[str, Any]:
    """Inverse of `named`, for headers of any age: what they do not name has the value of their time."""
    found = load(entry["codec"]).unnamed
    return _with_parameters(entry, {**found, **entry.get("parameters", {})} if found else {}, unnamed)


def _with_parameters(entry: Entry, more: Mapping[str, Any], again: Callable[[Entry], dict[str, Any]]) -> dict[str, Any]:
    out = dict(entry) | ({"parameters": {**entry.get("parameters", {}), **more}} if more else {})
    return out | ({"fallback": again(entry["fallback"])} if "fallback" in entry else {})


def fit(
    entry: Entry, specs: Sequence[TensorSpec], samples: Iterable[Sample], sensitivity: Assets | None = None
) -> dict[str, np.ndarray]:
    """Assets of a codec and of its fallback, from calibration samples (iterated once per fitted part).

    `sensitivity` (stages.sensitivity) goes to codecs that use it.
    """
    own, rest, fallback = _parts(entry, specs)
    assets: dict[str, np.ndarray] = {}
    if own.fitted:
        mine = [s for s in specs if s.name not in rest]
        assets |= own.fit_with(mine, samples, sensitivity) if uses_sensitivity(entry) else own.fit(mine, samples)
    if fallback is not None and fallback.fitted and rest:
        rest_specs = [s for s in specs if s.name in rest]
        assets |= {FALLBACK + k: v for k, v in fallback.fit(rest_specs, samples).items()}
    return assets


def uses_sensitivity(entry: Entry) -> bool:
    """Whether the codec's calibration takes the tail's sensitivity where there is one."""
    return getattr(load(entry["codec"]), "uses_sensitivity", False)


def sensitive_to(entry: Entry) -> str | None:
    """Whose sensitivity that is (stages.sensitivity): the last "feature" or the task's "answer"; None for none."""
    if not uses_sensitivity(entry):
        return None
    return "answer" if entry.get("parameters", {}).get("metric") == "task" else "feature"


def needs_fit(entry: Entry) -> bool:
    """Whether the codec or its fallback is fitted on calibration features."""
    return load(entry["codec"]).fitted or ("fallback" in entry and load(entry["fallback"]["codec"]).fitted)


def missing(entry: Entry) -> str:
    """What this machine lacks to encode with an entry, such as a program, and where to get it; empty if nothing."""
    if not hasattr(load(entry["codec"]), "missing"):
        return ""
    return build(entry["codec"], entry.get("parameters", {})).missing()


def coder(entry: Entry, specs: Sequence[TensorSpec], assets: Assets) -> Coder:
    """The coder of a stream; tensors of kinds the codec does not take go to the fallback."""
    from lamofc.codecs.composite import Composite

    own, rest, fallback = _parts(entry, specs)
    if not rest:
        return own.coder(specs, assets)
    return Composite(own, fallback, specs, rest, assets)


def kept(coder: Coder, sample: Sample) -> Sample:
    """What a coder codes of a sample: all of it, unless the codec evicts tokens."""
    return coder.kept(sample) if hasattr(coder, "kept") else sample


def _parts(entry: Entry, specs: Sequence[TensorSpec]) -> tuple[Codec, frozenset[str], Codec | None]:
    own = build(entry["codec"], entry.get("parameters", {}))
    rest = frozenset(s.name for s in specs if s.kind not in own.kinds)
    fallback = entry.get("fallback")
    if rest and fallback is None:
        kinds = sorted({s.kind for s in specs if s.name in rest})
        raise ConfigError(f"codec {entry['codec']} does not code {', '.join(kinds)}: name a fallback in the config")
    built = build(fallback["codec"], fallback.get("parameters", {})) if fallback is not None else None
    if built is not None and not {s.kind for s in specs if s.name in rest} <= built.kinds:
        raise ConfigError(f"fallback {fallback['codec']} of {entry['codec']} does not code every remaining kind")
    return own, rest, built
