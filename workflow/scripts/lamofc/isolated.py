"""Calls of a library that may crash on malformed bytes, in a process of their own (lamofc.isolated_server).

The server imports the library once and forks a worker that answers requests; when one crashes it, the next worker is a
fork away. A request that was answered may have left the worker's memory spoiled: it may then crash or stand still at
any later instant, between two bytes of a pipe too. So whoever asks waits for a bounded time, and begins with a new
server, and new pipes, unless the worker answered or died within the call itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import IO

from lamofc.errors import BitstreamError
from lamofc.isolated_server import LENGTH, SECONDS, SPOILED

_MARGIN = 10  # seconds more that whoever asks waits: a worker that stands still outside of a call cannot tell
_BROKEN = -3  # no answer, and the pipes may hold half of something
_CHUNK = 1 << 16
_THREAD = threading.local()


class Isolated:
    """A function bytes -> bytes that is called elsewhere; `name` is "module:function". One server per thread."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, request: bytes, memory: int) -> bytes:
        """BitstreamError if the call crashes, takes more than `memory` bytes beyond its library's, or never ends."""
        size, answer = self._ask(request, memory)
        if size in (SPOILED, _BROKEN):  # a forged request before this one may be why: ask a new worker
            size, answer = self._ask(request, memory)
        if size < 0:
            raise BitstreamError(f"{self.name.split(':')[0]} failed on the bytes")
        return answer

    def _ask(self, request: bytes, memory: int) -> tuple[int, bytes]:
        """The answer's length, or why there is none, and the answer."""
        server, size, answer = _server(self.name), _BROKEN, b""
        with contextlib.suppress(BrokenPipeError):
            end = _deadline()
            _send(server.stdin, LENGTH.pack(memory) + LENGTH.pack(len(request)) + request, end)
            head = _receive(server.stdout, LENGTH.size, end)
            size = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else _BROKEN
            answer = _receive(server.stdout, size, end) if size > 0 else b""
        if size == _BROKEN or len(answer) < size:
            _discard(self.name)
            return _BROKEN, b""
        return size, answer


def _deadline() -> float:
    return time.monotonic() + SECONDS + _MARGIN


def _send(pipe: IO[bytes], data: bytes, end: float) -> None:
    """Write to a pipe that does not block; what time does not suffice for is left."""
    view = memoryview(data)
    while view and _ready(pipe, select.POLLOUT, end):
        view = view[pipe.write(view[:_CHUNK]) or 0 :]


def _receive(pipe: IO[bytes], size: int, end: float) -> bytes:
    """`size` bytes of an unbuffered pipe, fewer if it ends or time does."""
    parts, missing = [], size
    while missing and _ready(pipe, select.POLLIN, end):
        if not (part := pipe.read(min(missing, _CHUNK))):
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _ready(pipe: IO[bytes], event: int, end: float) -> bool:
    """Whether there is something to do with a pipe, its end included, before time ends."""
    waiter = select.poll()
    waiter.register(pipe, event)
    return bool(waiter.poll(1000 * max(0.0, end - time.monotonic())))


def _server(name: str) -> subprocess.Popen:
    """This thread's server of a function, started on first use; it ends when its input does.

    A forked process must not write into its parent's server.
    """
    servers = _THREAD.__dict__.setdefault(os.getpid(), {})
    if name not in servers or servers[name].poll() is not None:
        root = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, "-m", "lamofc.isolated_server", name]
        servers[name] = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )
        os.set_blocking(servers[name].stdin.fileno(), False)
        weakref.finalize(servers[name], _end, servers[name].stdin, servers[name].stdout)
    return servers[name]


def _discard(name: str) -> None:
    """End this thread's server of a function and its worker, whatever they do."""
    server = _THREAD.__dict__[os.getpid()].pop(name)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    _end(server.stdin, server.stdout)


def _end(*pipes: IO[bytes]) -> None:
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.close()
