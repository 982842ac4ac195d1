"""Models by family: `lamofc/models/<family>.py` holds a class `Model`.

A row of config/models.yaml names a family and its options; a row of config/scenarios.tsv adds the split
point and the readout. Numpy arrays cross the split, torch stays inside the family's module.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamofc import interfaces
from lamofc.errors import ConfigError


def load(family: str) -> type[interfaces.Model]:
    """The model class of a family; ConfigError names the file that is missing."""
    module = f"lamofc.models.{family}"
    try:
        return importlib.import_module(module).Model
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ConfigError(f"model family {family!r} is unknown: there is no {module.replace('.', '/')}.py") from None


def crossing(row: Mapping[str, Any], split: str) -> frozenset[str]:
    """Kinds of the tensors that cross `split`, as a config row tells: one list, or one for each split.

    ConfigError if the row has no list for this split.
    """
    kinds = row["kinds"]
    if isinstance(kinds, Mapping):
        if split not in kinds:
            raise ConfigError(f"{row['title']}: kinds has no split {split!r}; it has {', '.join(kinds)}")
        kinds = kinds[split]
    return frozenset(kinds)


def build(
    row: Mapping[str, Any], weights: Path, split: str, readout: str | None = None, readout_weights: Path | None = None
) -> interfaces.Model:
    """A model of a config row, cut at `split`; weights come from the folder the fetch stage made.

    `device` in the row (the workflow puts the config's there) places it on a GPU.
    """
    if not Path(weights).is_dir():
        raise ConfigError(f"{weights}: no such model folder; run `snakemake --until prepare_model`")
    options, device = dict(row.get("options", {})), row.get("device", "cpu")
    family = load(row["family"])
    if device == "cpu":
        return family(Path(weights), split, readout=readout, readout_weights=readout_weights, **options)
    placement = importlib.import_module("lamofc.models.device")
    placement.use(device)
    model = family(Path(weights), split, readout=readout, readout_weights=readout_weights, **options)
    return placement.move(model, device)
