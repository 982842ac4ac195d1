"""Models of the Hugging Face hub at a pinned revision, or a folder that holds them already."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lamofc.errors import ConfigError, FetchError


def snapshot(name: str, row: Mapping[str, Any], folder: Path) -> int:
    """Put the files of `row` (repo, revision, keep) into `folder`; -> bytes downloaded.

    With $LAMOFC_WEIGHTS/<name> present, its files are linked instead and nothing is downloaded: the
    revision is then the user's word.
    """
    missing = [key for key in ("repo", "revision", "keep") if not row.get(key)]
    if missing:
        raise ConfigError(f"package {name}: a huggingface archive lacks {', '.join(missing)}")
    given = Path(os.environ.get("LAMOFC_WEIGHTS", "")) / name
    if os.environ.get("LAMOFC_WEIGHTS") and given.is_dir():
        _link(name, given, row["keep"], folder)
        return 0
    _download(name, row, folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes on what it downloaded
    _require_files(name, folder, row["repo"])
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _link(name: str, given: Path, keep: list[str], folder: Path) -> None:
    for path in sorted(p for p in given.rglob("*") if p.is_file()):
        inside = path.relative_to(given)
        if any(fnmatch(inside.as_posix(), pattern) for pattern in keep):
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            (folder / inside).symlink_to(path.resolve())
    _require_files(name, folder, given)


def _require_files(name: str, folder: Path, origin: object) -> None:
    if not any(p.is_file() for p in folder.rglob("*")):
        raise FetchError(f"package {name}: no file of {origin} matches its `keep` patterns in config/packages.yaml")


def _download(name: str, row: Mapping[str, Any], folder: Path) -> None:
    from huggingface_hub import constants, errors, snapshot_download

    page = f"{constants.ENDPOINT}/{row['repo']}"
    local = f"Or put the model's files into a folder and name its parent: LAMOFC_WEIGHTS=<parent>, <parent>/{name}."
    try:
        snapshot_download(row["repo"], revision=row["revision"], allow_patterns=list(row["keep"]), local_dir=folder)
    except errors.GatedRepoError as error:
        raise FetchError(
            f"{row['repo']} is gated: accept its licence on {page} while logged in, create a read token and "
            f"set HF_TOKEN. {local}"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise FetchError(
            f"{page} at revision {row['revision']} was not found. If it is private, set HF_TOKEN to a token "
            f"that may read it. {local}"
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise FetchError(f"{page} could not be downloaded ({error}); is the network there? {local}") from error
