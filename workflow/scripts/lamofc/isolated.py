"""Calls of a library that may crash on malformed bytes, each in a process of its own.

`python -m lamofc.isolated module:function` imports the library once and forks for every request, so that a call costs
about a millisecond and a crash costs the call alone.
"""

from __future__ import annotations

import contextlib
import importlib
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
_FAILED = -1
_THREAD = threading.local()


class Isolated:
    """A function bytes -> bytes that is called elsewhere; `name` is "module:function". One server per thread."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, request: bytes, memory: int) -> bytes:
        """BitstreamError if the call crashes, takes more than `memory` bytes beyond its library's, or never ends."""
        server = _server(self.name)
        server.stdin.write(_LENGTH.pack(memory) + _LENGTH.pack(len(request)) + request)
        server.stdin.flush()
        head = server.stdout.read(_LENGTH.size)
        size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else _FAILED
        answer = server.stdout.read(size) if size >= 0 else b""
        if size < 0 or len(answer) < size:
            raise BitstreamError(f"{self.name.split(':')[0]} failed on the bytes")
        return answer


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
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    while len(head := source.read(2 * _LENGTH.size)) == 2 * _LENGTH.size:
        memory, size = _LENGTH.unpack_from(head)[0], _LENGTH.unpack_from(head, _LENGTH.size)[0]
        request = source.read(size)
        child = os.fork()
        if child == 0:
            _answer(call, request, memory, sink)
        _, status = os.waitpid(child, 0)
        if status:
            sink.write(_LENGTH.pack(_FAILED))
            sink.flush()


def _answer(call: Callable[[bytes], bytes], request: bytes, memory: int, sink: IO[bytes]) -> None:
    """In the child: nothing is written before the call has succeeded."""
    signal.alarm(SECONDS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + memory, held + memory))
    try:
        answer = call(request)
        signal.alarm(0)
        sink.write(_LENGTH.pack(len(answer)) + answer)
        sink.flush()
    except BaseException:
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
