"""Commits and hashes of hub repositories, recorded on the first fetch and asked for on every later one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamofc.errors import ConfigError, FetchError
from lamofc.jsonio import write_text


@dataclass(frozen=True)
class Pin:
    """The record <folder>/<package>.json of one package, which may not be there yet."""

    package: str
    path: Path
    repo: str

    @classmethod
    def of(cls, package: str, row: Mapping[str, Any], folder: Path | None) -> Pin | None:
        """None for a row whose revision is a commit. ConfigError for a branch without `pin: record`."""
        commit = len(row["revision"]) == 40 and set(row["revision"]) <= set("0123456789abcdef")
        if commit:
            return None
        if row.get("pin") != "record" or folder is None:
            raise ConfigError(
                f"package {package}: revision {row['revision']!r} is no commit: write the 40 digits of one, or add "
                "`pin: record` to record the commit that the first fetch finds"
            )
        return cls(package, Path(folder) / f"{package}.json", row["repo"])

    def revision(self) -> str | None:
        """The recorded commit; ConfigError if the record is of another repository."""
        if not self.path.is_file():
            return None
        record = json.loads(self.path.read_text())
        if record["repo"] != self.repo:
            raise ConfigError(f"{self.path} records {record['repo']}, not {self.repo}: delete it to pin anew")
        return record["revision"]

    def settle(self, revision: str, folder: Path) -> None:
        """Record the files of `folder` the first time; later FetchError where one differs from its record."""
        found = {p.relative_to(folder).as_posix(): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        if not self.path.is_file():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            record = {"repo": self.repo, "revision": revision, "sha256": found}
            write_text(self.path, json.dumps(record, indent=1, sort_keys=True) + "\n")
            return
        known = json.loads(self.path.read_text())["sha256"]
        for name, digest in found.items():
            if known.get(name, digest) != digest:
                raise FetchError(
                    f"package {self.package}: {name} has SHA-256 {digest}, {self.path} records {known[name]}"
                )


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
