"""Calls of a library that may crash on malformed bytes, in a process of their own.

`python -m lamofc.isolated module:function` imports the library once and forks a worker that answers requests; when one
crashes it, the next worker is a fork away.
"""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO

from lamofc.errors import BitstreamError

SECONDS = 60
_LENGTH = struct.Struct("<q")
_FAILED, _SPOILED = -1, -2  # on a worker's first request; on a later one
_THREAD = threading.local()


class Isolated:
    """A function bytes -> bytes that is called elsewhere; `name` is "module:function". One server per thread."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, request: bytes, memory: int) -> bytes:
        """BitstreamError if the call crashes, takes more than `memory` bytes beyond its library's, or never ends."""
        size, answer = self._ask(request, memory)
        if size == _SPOILED:  # a forged request before this one may have spoiled the worker: ask a new one
            size, answer = self._ask(request, memory)
        if len(answer) != size:
            raise BitstreamError(f"{self.name.split(':')[0]} failed on the bytes")
        return answer

    def _ask(self, request: bytes, memory: int) -> tuple[int, bytes]:
        """The answer's length, or why there is none, and the answer."""
        server = _server(self.name)
        server.stdin.write(_LENGTH.pack(memory) + _LENGTH.pack(len(request)) + request)
        server.stdin.flush()
        head = server.stdout.read(_LENGTH.size)
        size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else _SPOILED
        return size, server.stdout.read(size) if size >= 0 else b""


def _server(name: str) -> subprocess.Popen:
    """This thread's server of a function, started on first use; it ends when its input does.

    A forked process must not write into its parent's server.
    """
    servers = _THREAD.__dict__.setdefault(os.getpid(), {})
    if name not in servers or servers[name].poll() is not None:
        root = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, "-m", "lamofc.isolated", name]
        servers[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        weakref.finalize(servers[name], _end, servers[name].stdin, servers[name].stdout)
    return servers[name]


def _end(*pipes: IO[bytes]) -> None:
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.close()


def serve(name: str) -> None:
    """Answer requests on stdin until it ends. What the library prints goes nowhere."""
    module, function = name.split(":")
    call = getattr(importlib.import_module(module), function)
    source, sink = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    used = mmap.mmap(-1, 1)  # what the worker tells before it dies: whether it has answered a request
    while True:
        used[0] = 0
        worker = os.fork()
        if worker == 0:
            _work(call, source, sink, used)
        if os.waitpid(worker, 0)[1] == 0:
            return
        sink.write(_LENGTH.pack(_SPOILED if used[0] else _FAILED))
        sink.flush()


def _work(call: Callable[[bytes], bytes], source: IO[bytes], sink: IO[bytes], used: mmap.mmap) -> None:
    """In the worker: nothing is written before a call has succeeded, and nothing read beyond one request."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    try:
        while len(head := _read(source, 2 * _LENGTH.size)) == 2 * _LENGTH.size:
            memory, size = _LENGTH.unpack_from(head)[0], _LENGTH.unpack_from(head, _LENGTH.size)[0]
            request = _read(source, size)
            signal.alarm(SECONDS)
            resource.setrlimit(resource.RLIMIT_AS, (held + memory, resource.RLIM_INFINITY))
            answer = call(request)
            signal.alarm(0)
            sink.write(_LENGTH.pack(len(answer)) + answer)
            sink.flush()
            used[0] = 1
    except BaseException:
        os._exit(1)
    os._exit(0)


def _read(source: IO[bytes], size: int) -> bytes:
    """`size` bytes of an unbuffered pipe, fewer at its end."""
    parts, missing = [], size
    while missing and (part := source.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    serve(sys.argv[1])
