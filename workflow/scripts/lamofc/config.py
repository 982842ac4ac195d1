"""The run's plan: which curves, arms and pairs of both one configuration asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lamofc import codecs, inputs, models, tasks
from lamofc.config_files import ConfigFiles
from lamofc.errors import ConfigError

TIERS = ("default", "full")


class Plan(ConfigFiles):
    """Rows that this run wants of what the files say, and the jobs that come of them."""

    @cached_property
    def arms(self) -> dict[str, Any]:
        """Rows of the codecs file that this run wants and that can be encoded on this machine, in file order.

        ConfigError if a row was named that needs a program which is not here.
        """
        wanted = self.config["arms"]
        unknown = [w for w in wanted if w not in TIERS and w not in self.all_arms and w not in self.all_inputs]
        if unknown:
            raise ConfigError(
                f"config key arms: {unknown[0]!r} is neither a tier nor a row of {self.config['codecs']} or "
                f"{self.config['inputs']}"
            )
        for name in (n for n in self.left_out if n in wanted):
            raise ConfigError(f"config key arms: {name} cannot be encoded on this machine: {self.left_out[name]}")
        return {n: a for n, a in self._wanted(self.all_arms).items() if n not in self.left_out}

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Rows of the codecs file that this run wants and this machine cannot encode -> what it lacks."""
        lacks = {n: codecs.missing(a) for n, a in self._wanted(self.all_arms).items()}
        return {n: what for n, what in lacks.items() if what}

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
            if kinds[arm] & models.crossing(self.models[row["model"]], row["split"])
            if codecs.sensitive_to(entry) != "answer" or self.has_answer(curve)
            if not codecs.load(entry["codec"]).evicts or self.has_tail(curve)
            if "transfer" not in entry or self.donor(curve)
        ]

    def has_answer(self, curve: str) -> bool:
        """Whether it is known what moves the answer of a curve's task: codecs tuned to that run nowhere else."""
        return self.has_tail(curve) and hasattr(tasks.load(self.all_curves[curve]["task"]), "measure")

    def has_tail(self, curve: str) -> bool:
        """Whether a model goes on from a curve's features: not so for features that others published."""
        return self.models[self.all_curves[curve]["model"]]["family"] != "hosted"

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
