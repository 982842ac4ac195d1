"""Models of the Hugging Face hub at a pinned revision, or a folder that holds them already."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from lamofc.errors import ConfigError, FetchError
from lamofc.fetch import hand
from lamofc.fetch.pins import Pin


def snapshot(name: str, row: Mapping[str, Any], folder: Path, pins: Path | None = None) -> int:
    """Put the files of `row` (repo, revision, keep; type model or dataset) into `folder`; -> bytes downloaded.

    With $LAMOFC_WEIGHTS/<name> present, its files are linked instead and nothing is downloaded: the
    revision is then the user's word. Else commit and hashes of the files are written to <pins>/<name>.json the first
    time, and hold from then on; a revision that is a branch needs `pin: record`.
    """
    missing = [key for key in ("repo", "revision", "keep") if not row.get(key)]
    if missing:
        raise ConfigError(f"package {name}: a huggingface archive lacks {', '.join(missing)}")
    pin = Pin.of(name, row, pins)
    if (local := hand.given(name)) is not None:
        _link(name, local, row["keep"], folder)
        return 0
    revision = row["revision"] if pin is None else pin.revision() or _resolve(name, row)
    _download(name, {**row, "revision": revision}, folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes on what it downloaded
    _require_files(name, folder, row["repo"])
    if pin is not None:
        pin.settle(revision, folder)
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


def _resolve(name: str, row: Mapping[str, Any]) -> str:
    """The commit that a branch points to now."""
    from huggingface_hub import repo_info

    with _online(), _explained(name, row):
        return repo_info(row["repo"], revision=row["revision"], repo_type=row.get("type", "model")).sha


def _download(name: str, row: Mapping[str, Any], folder: Path) -> None:
    from huggingface_hub import snapshot_download

    options = {"repo_type": row.get("type", "model"), "allow_patterns": list(row["keep"]), "local_dir": folder}
    with _online(), _explained(name, row):
        snapshot_download(row["repo"], revision=row["revision"], **options)


@contextmanager
def _online() -> Iterator[None]:
    """The one stage that uses the network does so whatever HF_HUB_OFFLINE says to all others."""
    from huggingface_hub import constants

    kept, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = kept


@contextmanager
def _explained(name: str, row: Mapping[str, Any]) -> Iterator[None]:
    """The client's errors as FetchError: which page, which licence step, which variable."""
    from huggingface_hub import constants, errors

    page = "/".join([constants.ENDPOINT, *(["datasets"] if row.get("type") == "dataset" else []), row["repo"]])
    local = f"Or put the files into a folder and name its parent: LAMOFC_WEIGHTS=<parent>, <parent>/{name}."
    try:
        yield
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
