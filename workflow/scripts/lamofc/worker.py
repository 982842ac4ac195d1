"""Jobs of one run as forks of a process that has their libraries imported: importing torch and transformers takes
longer than most jobs compute.

The workflow's main process makes a folder (`offer`); the first job that wants a kind of worker starts it there, later
jobs hand it their call over a socket. Without that folder, in another interpreter or on another machine, a job calls
its function itself; results are the same. `LAMOFC_WORKERS=off` keeps every job in its own process, where Snakemake's
benchmark files see its memory.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import importlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lamofc import allocator, errors, usage

FOLDER, OWNER = "LAMOFC_WORKERS", "LAMOFC_OWNER"
START_SECONDS = 60
_LENGTH = struct.Struct("<I")


def offer() -> None:
    """Let the jobs that this process starts share workers; those end when this process does."""
    if os.environ.get(FOLDER) == "off":
        return
    folder = tempfile.mkdtemp(prefix="lamofc-")
    os.environ.update({FOLDER: folder, OWNER: str(os.getpid())})
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def call(worker: tuple[str, Sequence[str]], function: str, /, **arguments: Any) -> None:
    """Call "module:function"(**arguments), in a fork of a worker where workers are offered.

    worker: which one, and modules that it imports before it forks, for this call and all later ones.
    Arguments are JSON and Paths. Errors of the library come back as themselves, others as JobError.
    """
    kind, preload = worker
    folder = Path(os.environ.get(FOLDER, "off"))
    if not folder.is_dir():
        _load(function)(**arguments)
        return
    with _connection(folder, kind) as link:
        socket.send_fds(link, [b"."], [1, 2])
        modules = [function.split(":")[0], *preload]
        _send(link, {"function": function, "preload": modules, "arguments": arguments})
        answer = _receive(link)
    if answer is None:
        raise errors.JobError("the job's process died: killed, or out of memory")
    if answer:
        raise getattr(errors, answer["error"])(answer["message"])


def _load(function: str) -> Any:
    module, name = function.split(":")
    return getattr(importlib.import_module(module), name)


def _connection(folder: Path, kind: str) -> socket.socket:
    """To the worker of this kind and interpreter, which is started if it is not there."""
    interpreter = hashlib.sha256(sys.executable.encode()).hexdigest()[:8]
    address = folder / f"{kind}-{interpreter}"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        link = _connected(address)
        if link is None:
            address.unlink(missing_ok=True)
            _start(address)
        deadline = time.monotonic() + START_SECONDS
        while link is None:
            if time.monotonic() > deadline:
                raise errors.JobError(f"the worker {kind} did not start within {START_SECONDS} s; see {address}.log")
            time.sleep(0.01)
            link = _connected(address)
    return link


def _connected(address: Path) -> socket.socket | None:
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(str(address))
    except OSError:
        link.close()
        return None
    return link


def _start(address: Path) -> None:
    with open(f"{address}.log", "wb") as log:
        command = [sys.executable, "-m", "lamofc.worker", str(address), os.environ[OWNER]]
        root = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment
        )


def serve(address: Path, owner: int) -> None:
    """Fork for every call until the owner ends. Nothing here may start a thread: forks would lack it."""
    try:
        alive = os.pidfd_open(owner)
    except ProcessLookupError:
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    allocator.keep_freed_memory()
    with socket.socket(socket.AF_UNIX) as listener:
        staged = address.with_suffix(".staged")
        listener.bind(str(staged))
        listener.listen(64)
        staged.rename(address)
        while alive not in select.select([listener, alive], [], [])[0]:
            with listener.accept()[0] as link:
                _answer(link, listener, alive)
    shutil.rmtree(address.parent, ignore_errors=True)  # a run that was killed could not


def _answer(link: socket.socket, listener: socket.socket, alive: int) -> None:
    _, output, _, _ = socket.recv_fds(link, 1, 2)
    request = _receive(link) if len(output) == 2 else None
    if request is not None:
        for module in request["preload"]:
            try:
                importlib.import_module(module)
            except Exception:  # the call itself will meet the same error and report it
                traceback.print_exc()
        if os.fork() == 0:
            listener.close()
            os.dup2(output[0], 1)
            os.dup2(output[1], 2)
            _run(link, alive, request)
    for descriptor in output:
        os.close(descriptor)


def _run(link: socket.socket, alive: int, request: dict[str, Any]) -> None:
    """In the fork: call, answer, end. Ends at once when the job that asked, or the whole run, is gone."""
    answer: dict[str, str] = {}
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        threading.Thread(target=_end_with, args=(link, alive), daemon=True).start()
        _load(request["function"])(**request["arguments"])
        print(usage.line())
    except BaseException as error:
        answer = _described(error)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    _send(link, answer)
    os._exit(0)


def _described(error: BaseException) -> dict[str, str]:
    if isinstance(error, errors.LamofcError):
        return {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, OSError) and error.errno in errors.FIXES:
        return {"error": "JobError", "message": errors.described(error)}
    traceback.print_exc()
    return {"error": "JobError", "message": f"{type(error).__name__}: {error}"}


def _end_with(link: socket.socket, alive: int) -> None:
    select.select([link, alive], [], [])  # the job sends nothing more: readable means gone
    os._exit(1)


def _send(link: socket.socket, value: Any) -> None:
    text = json.dumps(value, default=lambda path: {"__path__": os.fspath(path)}).encode()
    link.sendall(_LENGTH.pack(len(text)) + text)


def _receive(link: socket.socket) -> Any:
    """None when the other side has gone."""
    with link.makefile("rb") as stream:
        head = stream.read(_LENGTH.size)
        text = stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    return json.loads(text, object_hook=lambda o: Path(o["__path__"]) if "__path__" in o else o) if text else None


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
