"""Around every job: one log that holds what the job printed, one clear error, no half-written output."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamofc import allocator, lock, usage, whole
from lamofc.errors import FIXES, LamofcError, described


@contextmanager
def logged(log: str | Path) -> Iterator[None]:
    """Send stdout and stderr, of native libraries too, to the log; errors the user can act on go to both."""
    terminal = os.dup(2)
    try:
        _redirect(log, terminal)
        allocator.keep_freed_memory()
        before = usage.seconds()
        yield
        print(usage.line(before), flush=True)
    except LamofcError as error:
        _fail(terminal, f"{type(error).__name__}: {error}\n", log)
    except OSError as error:
        if error.errno not in FIXES:
            _note_traceback()
        _fail(terminal, f"{described(error)}\n", log)
    except Exception:
        _note_traceback()
        _fail(terminal, traceback.format_exc(limit=-1), log)


def _redirect(log: str | Path, terminal: int) -> None:
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with open(log, "ab", buffering=0) as file:
        if not lock.alone(file):
            os.write(terminal, f"{log}: waited for the same job of a run that was killed\n".encode())
        file.truncate(0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _note_traceback() -> None:
    with contextlib.suppress(OSError):  # the log may be on the disk that is full
        traceback.print_exc()


def _fail(terminal: int, message: str, log: str | Path) -> None:
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, end="", flush=True)
    os.write(terminal, f"{message}full log: {log}\n".encode())
    sys.exit(1)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A folder to fill beside `path`; it takes the name `path` only when the block ends well."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    whole.note(path, partial)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)
