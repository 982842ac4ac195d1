"""Taking wanted files out of an archive that is not trusted.

Only regular files are written, under their own relative path; names that leave the folder, links and
devices are refused, and the bytes written are bounded whatever the archive's headers claim.
"""

from __future__ import annotations

import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from lamofc.errors import FetchError

_DAMAGED = (EOFError, OSError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, tarfile.TarError, RuntimeError)
_STEP = 1 << 20


@dataclass(frozen=True)
class Member:
    name: str
    kind: str  # file, folder or other
    content: IO[bytes] | None


def unpack(archive: Path, folder: Path, keep: Sequence[str], max_bytes: int) -> int:
    """Write members whose path matches a glob of `keep` under `folder`; -> bytes written.

    Reads .whl and .zip, .tar with any compression Python knows, and .deb. FetchError when the archive is
    damaged or truncated, holds a name that leaves the folder, a wanted link or device, more than
    `max_bytes` of wanted files, or nothing for one of the globs.
    """
    left, unused = max_bytes, set(keep)
    try:
        for member in _members(archive):
            inside = _relative(archive, member.name)
            matching = {pattern for pattern in keep if fnmatchcase(inside.as_posix(), pattern)}
            if matching and member.kind != "folder":
                unused -= matching
                left -= _write(archive, member, folder / inside, left)
    except _DAMAGED as error:
        raise FetchError(
            f"{archive} could not be unpacked ({error}): damaged or cut short? Remove it and fetch again"
        ) from error
    if unused:
        raise FetchError(f"{archive.name} holds nothing that matches {', '.join(sorted(unused))}; correct `keep`")
    return max_bytes - left


def _relative(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise FetchError(f"{archive.name} holds the name {name!r}, which would leave its folder: refused")
    return path


def _write(archive: Path, member: Member, target: Path, left: int) -> int:
    if member.kind != "file" or member.content is None:
        raise FetchError(f"{archive.name}: {member.name} is a link or device, not a file: refused; narrow `keep`")
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with open(target, "xb") as file:
        while block := member.content.read(_STEP):
            written += len(block)
            if written > left:
                raise FetchError(f"{archive.name} unpacks to more than the `max_bytes` of its package allows: refused")
            file.write(block)
    return written


def _members(archive: Path) -> Iterator[Member]:
    if archive.suffix in (".whl", ".zip"):
        yield from _zip_members(archive)
    elif archive.suffix == ".deb":
        with _deb_data(archive) as data:
            yield from _tar_members(data)
    else:
        with open(archive, "rb") as data:
            yield from _tar_members(data)


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as whole:
        for info in whole.infolist():
            mode = info.external_attr >> 16
            if info.is_dir():
                yield Member(info.filename, "folder", None)
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                yield Member(info.filename, "other", None)
            else:
                with whole.open(info) as content:
                    yield Member(info.filename, "file", content)


def _tar_members(data: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=data, mode="r:*") as whole:
        for info in whole:
            kind = "file" if info.isreg() else "folder" if info.isdir() else "other"
            yield Member(info.name, kind, whole.extractfile(info) if kind == "file" else None)


@contextmanager
def _deb_data(archive: Path) -> Iterator[IO[bytes]]:
    """The data.tar.* of a Debian package, which is an `ar` archive: 60-byte headers, even offsets."""
    with open(archive, "rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise FetchError(f"{archive.name} is not a Debian package; remove {archive} and fetch again")
        while len(header := file.read(60)) == 60:
            name, size = header[:16].decode("latin-1").strip().rstrip("/"), _decimal(header[48:58])
            if name.startswith("data.tar"):
                if name.endswith(".zst"):
                    raise FetchError(
                        f"{archive.name} is compressed with zstd, which is not supported: use Debian's package"
                    )
                content = io.BytesIO(file.read(size))
                if len(content.getbuffer()) != size:
                    raise EOFError(f"{name} is cut short")
                yield content
                return
            file.seek(size + size % 2, 1)
    raise EOFError("no data.tar in it")


def _decimal(field: bytes) -> int:
    if not field.strip().isdigit():
        raise EOFError(f"size {field!r} in its headers is not a number")
    return int(field)
