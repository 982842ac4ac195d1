"""One run per results folder, and no lock that outlives its run: the kernel lets go of a flock when its holder dies."""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import os
import shutil
import socket
import time
from pathlib import Path
from typing import IO

from lamofc import whole
from lamofc.errors import FIXES, RunError

_HELD: list[IO[bytes]] = []  # open for as long as this process lives


def recover(state: Path, results: Path) -> None:
    """Before a run is planned: remove what killed ones left, if none is alive that it could belong to.

    Snakemake leaves its lock files in `state` behind when it is killed, and then refuses every later run. Each run
    keeps a shared flock on `state`/lamofc.lock for its life; whoever gets an exclusive one is alone and may clear.
    Likewise for half-removed folders in `results`, which a run keeps by `hold`; its name is still in the lock file of
    one that was killed. After a run that ended by itself a folder that lacks files has lost them, and jobs say so.
    """
    _clear_stale(state)
    if results.is_dir():
        with contextlib.suppress(OSError, RunError), _open(results / ".lock") as file:  # `hold` will say what is wrong
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.seek(0)
            if file.read(1):
                whole.sweep(results)
                file.truncate(0)


def _clear_stale(state: Path) -> None:
    file = _open(state / "lamofc.lock")
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(state / "locks", ignore_errors=True)
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
    _HELD.append(file)


def hold(results: Path) -> None:
    """Keep `results` for this process until it ends, however it ends; RunError when another run has it."""
    file = _open(results / ".lock")
    try:
        _take(file)
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
    atexit.register(file.truncate, 0)


def _take(file: IO[bytes], tries: int = 20) -> None:
    """An exclusive flock, within two seconds: `recover` of another call has it for a moment."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            tries -= 1
            if tries == 0 or error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        time.sleep(0.1)


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


def _open(path: Path) -> IO[bytes]:
    """The lock file, made if need be; RunError where the disk is full or read-only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a+b", buffering=0)
    except OSError as error:
        if error.errno in FIXES:
            said = os.strerror(error.errno)
            raise RunError(f"{path.parent} cannot be written ({said}); {FIXES[error.errno]}") from None
        raise
