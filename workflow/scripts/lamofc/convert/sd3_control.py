"""A Stable Diffusion 3 pipeline, its ControlNet and a CLIP model that judges its images, as the hub publishes them.

They are linked side by side, not copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lamofc.errors import FetchError

OPTIONS: tuple[str, ...] = ()


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """The package with a model_index.json becomes `pipeline/`, a CLIP model `judge/`, the other `controlnet/`."""
    for source in map(Path, packages.values()):
        part = _part(source)
        for path in sorted(p for p in source.rglob("*") if p.is_file() and p.name != "fetched.json"):
            place = folder / part / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
    for wanted in ("pipeline/model_index.json", "controlnet/config.json", "judge/config.json"):
        if not (folder / wanted).exists():
            raise FetchError(f"no {wanted.split('/')[1]} of the {wanted.split('/')[0]} in {', '.join(packages)}")


def _part(source: Path) -> str:
    if (source / "model_index.json").exists():
        return "pipeline"
    config = source / "config.json"
    kind = json.loads(config.read_text()).get("model_type") if config.exists() else None
    return "judge" if kind == "clip" else "controlnet"
