"""Tasks by name: `lamofc/tasks/<name>.py` holds a class `Task` over a data set folder the fetch stage made."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamofc import interfaces
from lamofc.errors import ConfigError


def load(name: str) -> type[interfaces.Task]:
    """The task class of that name; ConfigError names the file that is missing."""
    module = f"lamofc.tasks.{name}"
    try:
        return importlib.import_module(module).Task
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ConfigError(f"task {name!r} is unknown: there is no {module.replace('.', '/')}.py") from None


def build(name: str, dataset: Path, weights: Path, options: Mapping[str, Any] | None = None) -> interfaces.Task:
    """A task over a data set; `weights` is the model's folder, where tokenizers are read from."""
    if not (Path(dataset) / "items.jsonl").is_file():
        raise ConfigError(f"{dataset}: no such data set; run `snakemake --until prepare_dataset`")
    return load(name)(Path(dataset), Path(weights), **dict(options or {}))
