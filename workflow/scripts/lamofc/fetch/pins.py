"""Commits and hashes of hub repositories, recorded on the first fetch and held to by every later one."""

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
    """The record <folder>/<package>.json of one package, which may not be there yet.

    commit: that of the row, None where the row names a branch.
    """

    package: str
    path: Path
    repo: str
    commit: str | None

    @classmethod
    def of(cls, package: str, row: Mapping[str, Any], folder: Path | None) -> Pin | None:
        """None without a folder for records. ConfigError for a branch that nothing would record."""
        commit = row["revision"] if is_commit(row["revision"]) else None
        if commit is None and (row.get("pin") != "record" or folder is None):
            raise ConfigError(
                f"package {package}: revision {row['revision']!r} is no commit: write the 40 digits of one, or add "
                "`pin: record` to record the commit that the first fetch finds"
            )
        return None if folder is None else cls(package, Path(folder) / f"{package}.json", row["repo"], commit)

    def revision(self) -> str | None:
        """The commit to ask for, None on the first fetch of a branch; ConfigError if the record is of another."""
        record = self._record()
        if record is None:
            return self.commit
        wanted = {"repo": self.repo, "revision": self.commit or record["revision"]}
        for key, value in wanted.items():
            if record[key] != value:
                raise ConfigError(f"{self.path} records {record[key]}, not {value}: delete it to pin anew")
        return record["revision"]

    def settle(self, revision: str, folder: Path) -> None:
        """Record the files of `folder` the first time; later FetchError unless they are those of the record."""
        found = {p.relative_to(folder).as_posix(): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        record = self._record()
        if record is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            record = {"repo": self.repo, "revision": revision, "sha256": found}
            write_text(self.path, json.dumps(record, indent=1, sort_keys=True) + "\n")
            return
        known = record["sha256"]
        for name in sorted(known.keys() | found.keys()):
            if known.get(name) != found.get(name):
                raise FetchError(
                    f"package {self.package}: {name} has SHA-256 {found.get(name, 'none: it did not come')}, "
                    f"{self.path} records {known.get(name, 'no such file')}; if its row asks for other files now, "
                    "delete that record to make it anew"
                )

    def _record(self) -> dict[str, Any] | None:
        """ConfigError for a record that is damaged."""
        if not self.path.is_file():
            return None
        try:
            record = json.loads(self.path.read_text())
            return {key: record[key] for key in ("repo", "revision", "sha256")}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self.path} is damaged ({error!r}): restore it, or delete it to pin anew") from error


def is_commit(revision: str) -> bool:
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
