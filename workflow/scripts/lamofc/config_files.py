"""What the configuration's files say: rows of models, data sets, packages, codecs, curves, with their references."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lamofc import codecs, inputs
from lamofc.checked import check, check_arm, read_yaml
from lamofc.errors import ConfigError


@dataclass(frozen=True)
class ConfigFiles:
    """`config` names the files, `root` is the project's folder. A file is read and checked when first asked for."""

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


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    numbers = {"n", "n_calibration"}
    cells = {k: v for k, v in row.items() if v not in ("-", "", None)}
    return {k: int(v) if k in numbers and v.isdecimal() else v for k, v in cells.items()}
