"""One pinned archive: where it comes from, and the check that it is the one meant."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lamofc.errors import ConfigError, FetchError

SOURCES = ("pypi", "debian", "npm")
HANDED_OVER = Path("resources/debs")


@dataclass(frozen=True)
class Archive:
    """package, version: what the registry is asked for; file: the archive's name; keep: globs of wanted members."""

    source: str
    package: str
    version: str
    file: str
    sha256: str
    keep: tuple[str, ...]

    @classmethod
    def from_row(cls, name: str, row: Mapping[str, Any]) -> Archive:
        missing = [key for key in cls.__dataclass_fields__ if not row.get(key)]
        if missing:
            raise ConfigError(f"package {name}: archive {row.get('file', '?')} lacks {', '.join(missing)}")
        if row["source"] not in SOURCES:
            raise ConfigError(f"package {name}: source {row['source']!r} is none of {', '.join(SOURCES)}, huggingface")
        if Path(row["file"]).name != row["file"]:
            raise ConfigError(f"package {name}: file {row['file']!r} must be a bare file name")
        return cls(**{key: row[key] for key in cls.__dataclass_fields__} | {"keep": tuple(row["keep"])})

    def obtain(self, work: Path) -> Path:
        """The checked archive: handed over by the user, or from the cache `work`, or downloaded into it."""
        for folder in hand_over_folders():
            if (folder / self.file).is_file():
                return self.check(folder / self.file)
        cached = work / "archives" / self.file
        if not (cached.is_file() and sha256_of(cached) == self.sha256):
            self._download(work, cached)
        return cached

    def _download(self, work: Path, target: Path) -> None:
        source = import_module(f"lamofc.fetch.{self.source}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download.", dir=target.parent) as folder:
            source.download(self, Path(folder), work)
            found = Path(folder) / self.file
            if not found.is_file():
                got = ", ".join(sorted(p.name for p in Path(folder).iterdir())) or "nothing"
                raise FetchError(
                    f"{self.title}: expected the file {self.file}, the registry gave {got}. {self.hand_over}"
                )
            os.replace(self.check(found), target)

    def check(self, path: Path) -> Path:
        """`path` if its SHA-256 is the pinned one, else FetchError."""
        got = sha256_of(path)
        if got != self.sha256:
            raise FetchError(
                f"{path.name} of {self.title} is not the pinned file: expected sha256 {self.sha256}, got {got} "
                f"({path}). Remove it and fetch again; if the registry now serves another file under this version, "
                f"review it and change its sha256 in config/packages.yaml. {self.hand_over}"
            )
        return path

    @property
    def title(self) -> str:
        return f"{self.source} package {self.package} {self.version}"

    @property
    def hand_over(self) -> str:
        return (
            f"Or hand the file over: put {self.file} (package {self.package}, version {self.version}, sha256 "
            f"{self.sha256}) into {HANDED_OVER}/ or into the folder named by LAMOFC_DEBS."
        )


def hand_over_folders() -> list[Path]:
    given = os.environ.get("LAMOFC_DEBS")
    return [*([Path(given)] if given else []), HANDED_OVER]


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
