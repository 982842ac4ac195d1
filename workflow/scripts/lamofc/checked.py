"""Configuration read and checked: errors name the file, the place in it and what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from lamofc import codecs
from lamofc.errors import ConfigError


def read_yaml(path: Path) -> Any:
    """ConfigError if the file is missing or no YAML."""
    try:
        return yaml.safe_load(Path(path).read_text()) or {}
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {error}") from None


def check(value: Any, schema: Mapping[str, Any], source: str) -> None:
    """ConfigError that names the source, the place in it and what is wrong."""
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(value), key=lambda e: list(map(str, e.path)))
    if errors:
        place = ".".join(map(str, errors[0].path))
        raise ConfigError(f"{source}{': ' + place if place else ''}: {errors[0].message}")


def check_arm(name: str, arm: Mapping[str, Any], path: str) -> None:
    """Every point of an arm's ladder must make a codec, and point names must differ."""
    try:
        points = [codecs.point_name(arm, p) for p in arm["ladder"]]
        for point in arm["ladder"]:
            entry = codecs.at_point(arm, point)
            codecs.build(entry["codec"], entry["parameters"])
            if "fallback" in entry:
                codecs.build(entry["fallback"]["codec"], entry["fallback"]["parameters"])
    except ConfigError as error:
        raise ConfigError(f"{path}: {name}: {error}") from None
    for point in points:
        check_point_name(name, point, path)
    if len(set(points)) < len(points):
        raise ConfigError(f"{path}: {name}: ladder has the same point twice: {', '.join(points)}")


def check_point_name(arm: str, point: str, path: str) -> None:
    """Points name files: ConfigError for what could leave its folder or mean something to a shell."""
    if not re.fullmatch(r"(-?[0-9]|[A-Za-z])[A-Za-z0-9.+_-]*", point) or ".." in point:
        raise ConfigError(f"{path}: {arm}: point {point!r} cannot name a file; use letters, digits, dot and dash")
