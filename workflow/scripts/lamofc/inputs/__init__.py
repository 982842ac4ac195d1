"""Coding of inputs: the alternative to sending features. `lamofc/inputs/<name>.py` holds a class `InputCodec`.

The far side decodes the input and runs the whole model. Files, scores and figures are those of feature codecs.
"""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from lamofc.errors import ConfigError

MODALITIES = ("image", "audio", "text")


@dataclass(frozen=True)
class Coding(ABC):
    """Parameters of an input codec; its dataclass fields are its keys in config/inputs.yaml.

    knob: the field that the ladder varies (rate falls along the ladder).
    modality: of the inputs it codes: image {"image": uint8 (height, width, 3)}, audio {"audio": float32 (samples,)
    at 16 kHz}, text {"ids": int64 (tokens,)}.
    lossless: whether decode(encode(x)) equals x bit for bit, whatever the knob.
    """

    knob: ClassVar[str]
    modality: ClassVar[str]
    lossless: ClassVar[bool] = False
    family: ClassVar[str] = "input"

    @abstractmethod
    def encode(self, inputs: Mapping[str, Any]) -> bytes:
        """One sample's inputs -> bytes."""

    @abstractmethod
    def decode(self, data: bytes) -> dict[str, Any]:
        """The inverse. Raises BitstreamError or the errors of its library on bytes that no encoder wrote."""


def load(name: str) -> type[Coding]:
    """The class of that name; ConfigError names the file that is missing."""
    if not re.fullmatch(r"[a-z0-9]+", name):
        raise ConfigError(f"input codec name {name!r}: use lower-case letters and digits")
    module = f"lamofc.inputs.{name}"
    try:
        return importlib.import_module(module).InputCodec
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != module:
            raise
        path = f"workflow/scripts/{module.replace('.', '/')}.py"
        raise ConfigError(f"input codec {name!r} is unknown: there is no class InputCodec in {path}") from None


def at_point(entry: Mapping[str, Any], point: Any) -> dict[str, Any]:
    """A row of config/inputs.yaml at one point of its ladder, the knob's value or a mapping of parameters:
    {"input": name, "parameters": {...}}."""
    changes = point if isinstance(point, Mapping) else {load(entry["input"]).knob: point}
    return {"input": entry["input"], "parameters": {**entry.get("parameters", {}), **changes}}


def point_name(entry: Mapping[str, Any], point: Any) -> str:
    """The changed values as written in tables and file names: the knob's, others after it."""
    return "-".join(f"{v:g}" for v in (point.values() if isinstance(point, Mapping) else [point]))


def build(entry: Mapping[str, Any]) -> Coding:
    """The codec of an entry at a point; ConfigError on keys it does not have or values it refuses."""
    cls, parameters = load(entry["input"]), entry["parameters"]
    unknown = sorted(set(parameters) - {f.name for f in fields(cls)})
    if unknown:
        raise ConfigError(f"input codec {entry['input']}: unknown key {', '.join(unknown)}")
    try:
        return cls(**parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"input codec {entry['input']}: {error}") from error
