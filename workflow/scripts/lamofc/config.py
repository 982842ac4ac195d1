"""The run's plan: configuration files read, checked, and joined into curves, arms and paths."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from lamofc import codecs, inputs, tasks
from lamofc.errors import ConfigError

TIERS = ("default", "full")


@dataclass(frozen=True)
class Plan:
    """What one configuration asks for. `root` is the project's folder."""

    config: Mapping[str, Any]
    root: Path

    def __post_init__(self) -> None:
        check(self.config, self._schema("config"), "config")

    @cached_property
    def models(self) -> dict[str, Any]:
        return self._table("models")

    @cached_property
    def datasets(self) -> dict[str, Any]:
        return self._table("datasets")

    @cached_property
    def packages(self) -> dict[str, Any]:
        return self._table("packages")

    @cached_property
    def networks(self) -> dict[str, Any]:
        return self._table("networks")

    @cached_property
    def trainings(self) -> dict[str, Any]:
        return self._table("trainings")

    @cached_property
    def readouts(self) -> dict[str, Any]:
        """Every row of the readouts file; those that no curve names may be of another configuration's models."""
        return self._table("readouts")

    @cached_property
    def all_arms(self) -> dict[str, Any]:
        """Every row of the codecs file."""
        arms = self._table("codecs")
        for name, arm in arms.items():
            check_arm(name, arm, self.config["codecs"])
            self._check_transfer(name, arm, arms)
        return arms

    @cached_property
    def all_inputs(self) -> dict[str, Any]:
        """Every row of the inputs file: ways to send the input instead of features."""
        arms, path = self._table("inputs"), self.config["inputs"]
        for name, arm in arms.items():
            if name in self.all_arms:
                raise ConfigError(f"{path}: {name}: a row of {self.config['codecs']} has the same name")
            for point in arm["ladder"]:
                inputs.build(inputs.at_point(arm, point))
        return arms

    @cached_property
    def arms(self) -> dict[str, Any]:
        """Rows of the codecs file that this run wants, in file order."""
        wanted = self.config["arms"]
        unknown = [w for w in wanted if w not in TIERS and w not in self.all_arms and w not in self.all_inputs]
        if unknown:
            raise ConfigError(
                f"config key arms: {unknown[0]!r} is neither a tier nor a row of {self.config['codecs']} or "
                f"{self.config['inputs']}"
            )
        return self._wanted(self.all_arms)

    @cached_property
    def all_curves(self) -> dict[str, dict[str, Any]]:
        """Every row of the scenarios file by curve name, with limits applied.

        Where `readout` names a row of the readouts file, that row's kind takes its place and `fitted` keeps the name.
        """
        path, schema = self.config["scenarios"], self._schema("scenarios")
        with open(self.root / path, newline="") as file:
            rows = [_typed(r) for r in csv.DictReader(file, delimiter="\t")]
        for row in rows:
            check(row, schema, f"{path}, row {row.get('curve')}")
            self._check_references(row, f"{path}, row {row['curve']}")
        return {r["curve"]: self._limited(self._resolved(r)) for r in rows}

    @cached_property
    def curves(self) -> dict[str, dict[str, Any]]:
        """Rows that this run wants."""
        wanted = self.config["curves"]
        if wanted == "all":
            return self.all_curves
        missing = [w for w in wanted if w not in self.all_curves]
        if missing:
            raise ConfigError(f"config key curves: {missing[0]!r} is no row of {self.config['scenarios']}")
        return {w: self.all_curves[w] for w in wanted}

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(curve, arm) to run: every arm on every curve that sends a kind of tensor the arm's codec codes."""
        kinds = {n: codecs.load(a["codec"]).kinds for n, a in self.arms.items()}
        return [
            (curve, arm)
            for curve, row in self.curves.items()
            for arm, entry in self.arms.items()
            if kinds[arm] & set(self.models[row["model"]]["kinds"])
            if "transfer" not in entry or self.donor(curve)
        ]

    def donor(self, curve: str) -> str | None:
        """The first other curve of the run with the model, split and task of this one, over another data set.

        What was fitted there is what `transfer` rows code this one with. None without one. The task counts because it
        may decide what crosses: depth sends an image's mirror view too.
        """
        row = self.all_curves[curve]
        same = (c for c, r in self.curves.items() if all(r[k] == row[k] for k in ("model", "split", "task")))
        return next((c for c in same if self.curves[c]["dataset"] != row["dataset"]), None)

    @cached_property
    def input_pairs(self) -> list[tuple[str, str]]:
        """(curve, input arm) to run: every way to send the kind of input that the curve's task takes."""
        arms = {n: inputs.load(a["input"]).modality for n, a in self._wanted(self.all_inputs).items()}
        takes = {c: self._modality(c) for c in self.curves}
        return [(c, a) for c, modality in takes.items() for a, own in arms.items() if own == modality]

    @cached_property
    def picture_pairs(self) -> list[tuple[str, str]]:
        """(curve, arm) whose task makes images that figures show."""
        shown = {c for c, r in self.curves.items() if hasattr(tasks.load(r["task"]), "picture")}
        return [pair for pair in self.pairs if pair[0] in shown]

    def _modality(self, curve: str) -> str | None:
        place, task = f"{self.config['scenarios']}, row {curve}", self.curves[curve]["task"]
        try:
            return tasks.load(task).modality
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
        except AttributeError:
            raise ConfigError(f"{place}: class Task of {task!r} lacks `modality`, which may be None") from None

    def _wanted(self, arms: Mapping[str, Any]) -> dict[str, Any]:
        wanted = self.config["arms"]
        return {n: a for n, a in arms.items() if n in wanted or a.get("tier", "default") in wanted}

    def _limited(self, row: dict[str, Any]) -> dict[str, Any]:
        limit = self.config["limit"]
        capped = {"n": limit.get("test"), "n_calibration": limit.get("calibration")}
        return row | {k: min(row[k], cap) for k, cap in capped.items() if cap is not None}

    def _check_transfer(self, name: str, arm: Mapping[str, Any], arms: Mapping[str, Any]) -> None:
        base = arm.get("transfer")
        if base is None:
            return
        same = base in arms and all(arms[base].get(k) == arm.get(k) for k in ("codec", "parameters", "fallback"))
        if not same or not codecs.needs_fit(arm):
            raise ConfigError(
                f"{self.config['codecs']}: {name}: transfer {base!r} must be a row of the same codec, parameters and "
                "fallback, and one that is fitted"
            )

    def _resolved(self, row: dict[str, Any]) -> dict[str, Any]:
        name = row.get("readout")
        if name not in self.readouts:
            return row
        self._check_references(self.readouts[name], f"{self.config['readouts']}, row {name}")
        return row | {"readout": self.readouts[name]["kind"], "fitted": name}

    def _check_references(self, row: Mapping[str, Any], place: str) -> None:
        """ConfigError if `row` names a model, or in `dataset` or `datasets` a data set, that has no row."""
        if row["model"] not in self.models:
            raise ConfigError(f"{place}: model {row['model']!r} is no row of {self.config['models']}")
        if self.models[row["model"]]["family"] == "hosted":
            return  # its data set is a folder of resources/features, which users fill
        for name in row.get("datasets") or [row["dataset"]]:
            if name not in self.datasets:
                raise ConfigError(f"{place}: dataset {name!r} is no row of {self.config['datasets']}")

    def _table(self, name: str) -> dict[str, Any]:
        path = self.config[name]
        table = read_yaml(self.root / path)
        check(table, self._schema(name), path)
        return table

    def _schema(self, name: str) -> dict[str, Any]:
        return read_yaml(self.root / "config" / "schemas" / f"{name}.schema.yaml")


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


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    numbers = {"n", "n_calibration"}
    cells = {k: v for k, v in row.items() if v not in ("-", "", None)}
    return {k: int(v) if k in numbers and v.isdecimal() else v for k, v in cells.items()}
