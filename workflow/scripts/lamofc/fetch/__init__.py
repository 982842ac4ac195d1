"""Get packages from the registries' own clients, check them against their pinned hash, unpack what is wanted.

The only part of the project that touches the network. It names no host: pip, apt, npm and the Hugging Face
client know theirs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lamofc.errors import ConfigError
from lamofc.fetch.archive import Archive
from lamofc.fetch.staging import staged
from lamofc.jsonio import write_json

MAX_BYTES = 2_000_000_000


def fetch(
    package_name: str, entry: Mapping[str, Any], out_dir: Path, cache: Path | None = None, pins: Path | None = None
) -> Path:
    """Put the wanted files of a row of config/packages.yaml into the folder `out_dir`.

    Files keep their path inside their archive; `fetched.json` says where they came from. `cache` holds
    archives and package lists between calls and may be shared by parallel jobs; None keeps nothing.
    Archives found in the folder $LAMOFC_DEBS or in resources/debs are used before any registry is asked,
    and a folder $LAMOFC_WEIGHTS/<package_name> before Hugging Face. `pins` is where commits are recorded for rows
    that ask for it.
    Raises FetchError (what is missing or not the pinned file, and what to do), ConfigError for a bad row.
    Nothing is left behind on failure.
    """
    if not entry.get("archives"):
        raise ConfigError(f"package {package_name}: no archives in config/packages.yaml")
    with ExitStack() as stack:
        work = Path(cache) if cache else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = stack.enter_context(staged(out_dir))
        left = int(entry.get("max_bytes", MAX_BYTES))
        for row in entry["archives"]:
            left -= _fetch_one(package_name, row, folder, (work, pins), left)
        facts = {k: entry[k] for k in ("licence", "archives") if k in entry}
        write_json(folder / "fetched.json", {"package": package_name, **facts})
    return Path(out_dir)


def _fetch_one(
    name: str, row: Mapping[str, Any], folder: Path, places: tuple[Path, Path | None], max_bytes: int
) -> int:
    """-> bytes written."""
    work, pins = places
    if row.get("source") == "huggingface":
        from lamofc.fetch.huggingface import snapshot

        return snapshot(name, row, folder, pins)
    if row.get("source") == "hand":
        from lamofc.fetch.hand import take

        take(name, row, folder)
        return 0
    from lamofc.fetch.unpack import unpack

    archive = Archive.from_row(name, row)
    return unpack(archive.obtain(work), folder, archive.keep, max_bytes)
