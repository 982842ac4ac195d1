"""Figures and tables: each is a module of workflow/scripts/figures or tables, named by what it shows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def draw(figure: str, read: Mapping[str, Any], options: Mapping[str, Any], svg: Path, pdf: Path, png: Path) -> None:
    """Save figures.<figure>.draw(**read, **options) in three formats. read: the files it is drawn from.

    A name <figure>-<page> is a page of that figure, which the options tell from the others.
    """
    from lamofc import plotting  # tables need no matplotlib

    module = importlib.import_module(f"figures.{figure.partition('-')[0]}")
    plotting.save(module.draw(**read, **options), svg, pdf, png)


def tabulate(table: str, read: Mapping[str, Any], options: Mapping[str, Any], tsv: Path, md: Path, tex: Path) -> None:
    """Write tables.<table>.make(**read, **options) in three formats. read: the files it is made from."""
    from lamofc.results import numbers

    numbers.write(*importlib.import_module(f"tables.{table}").make(**read, **options), tsv, md, tex)


def files(named: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's named inputs as Paths and lists of Paths, without the sources that only trigger reruns."""
    return {k: [Path(f) for f in v] if isinstance(v, list) else Path(v) for k, v in named.items() if k != "sources"}
