"""One run per results folder, and no lock that outlives its run: the kernel lets go of a flock when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
from pathlib import Path
from typing import IO

from lamofc.errors import FIXES, RunError

_HELD: list[IO[bytes]] = []  # open for as long as this process lives


def clear_stale(state: Path) -> None:
    """Remove Snakemake's own lock files when no run that could have written them is alive.

    Snakemake leaves them behind when it is killed, and then refuses every later run. Each run keeps a shared flock
    on `state`/lamofc.lock for its life; whoever gets an exclusive one is alone and may clear.
    """
    file = _open(state / "lamofc.lock")
    if file is None:
        return
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(state / "locks", ignore_errors=True)
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
    _HELD.append(file)


def hold(results: Path) -> None:
    """Keep `results` for this process until it ends, however it ends; RunError when another run has it."""
    file = _open(results / ".lock")
    if file is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            return  # a file system without locks: Snakemake's own lock is what is left
        file.seek(0)
        holder = file.read(200).decode(errors="replace").strip() or "unknown"
        raise RunError(
            f"{results}: another run ({holder}) writes there; wait until it ends, or set another `results:`"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    _HELD.append(file)


def alone(file: IO[bytes]) -> bool:
    """Keep an open log for one process; -> False when another has it and this call had to wait for that to end.

    A job can outlive the run that started it; its successor must not write the same files beside it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            return True
        fcntl.flock(file, fcntl.LOCK_EX)
        return False
    return True


def _open(path: Path) -> IO[bytes] | None:
    """The lock file, made if need be; None where there is no folder to make it in."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a+b", buffering=0)
    except OSError as error:
        if error.errno in FIXES:
            said = os.strerror(error.errno)
            raise RunError(f"{path.parent} cannot be written ({said}); {FIXES[error.errno]}") from None
        raise
