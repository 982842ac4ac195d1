"""Packages by apt-get without root: own package lists and cache, nothing installed, nothing of the system changed."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamofc.fetch.archive import Archive
from lamofc.fetch.client import require, run

LISTS_LAST = 24 * 3600  # seconds after which package lists are asked for again


def download(archive: Archive, folder: Path, work: Path) -> None:
    """Put the .deb into `folder`; package lists are kept in `work` and updated once for all jobs."""
    advice = f"The pinned version is Debian 12's; other releases have others. {archive.hand_over}"
    apt = require("apt-get", archive.hand_over)
    architecture = archive.file.removesuffix(".deb").rsplit("_", 1)[-1]
    options = _options(work / "apt" / architecture, architecture)
    with _updated_once(work / "apt" / architecture) as needed:
        if needed:
            run([apt, *options, "update"], folder, "apt-get update", archive.hand_over)
    wanted = f"{archive.package}={archive.version}"
    run([apt, *options, "download", wanted], folder, f"apt-get download of {wanted}", advice)


def _options(state: Path, architecture: str) -> list[str]:
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State::Lists": state.resolve() / "lists",
        "Dir::Cache": state.resolve() / "cache",
        "Debug::NoLocking": 1,
        "APT::Sandbox::User": "root",  # apt's own user could not write into these folders
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
    }
    if architecture != "all":  # the same package on every kind of machine
        settings |= {"APT::Architecture": architecture, "APT::Architectures": architecture}
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


@contextmanager
def _updated_once(state: Path) -> Iterator[bool]:
    """Hold a lock; give whether the lists are missing or old. Parallel jobs wait, then find them new."""
    stamp = state / "updated"
    with open(state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        needed = not stamp.exists() or time.time() - stamp.stat().st_mtime > LISTS_LAST
        yield needed
        if needed:
            stamp.touch()
