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
    from lamofc.plotting import files as figure_files  # tables need no matplotlib

    module = importlib.import_module(f"figures.{figure.partition('-')[0]}")
    figure_files.save(module.draw(**read, **options), svg, pdf, png)


def tabulate(
    table: str, read: Mapping[str, Any], options: Mapping[str, Any], tsv: Path, md: Path, tex: Path, html: Path
) -> None:
    """Write tables.<table>.make(**read, **options) in four formats. read: the files it is made from."""
    from lamofc.results import sheets

    sheets.write(*importlib.import_module(f"tables.{table}").make(**read, **options), tsv, md, tex, html)


def files(named: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's named inputs as Paths and lists of Paths, without the sources that only trigger reruns."""
    return {k: [Path(f) for f in v] if isinstance(v, list) else Path(v) for k, v in named.items() if k != "sources"}
