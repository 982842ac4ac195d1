"""Answers requests of lamofc.isolated: `python -m lamofc.isolated_server module:function`."""

from __future__ import annotations

import ctypes
import importlib
import mmap
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

SECONDS = 60  # for one call
LENGTH = struct.Struct("<q")  # of an answer; FAILED in a worker's first call, SPOILED in a later one
FAILED, SPOILED = -1, -2
_DIES_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


def serve(name: str) -> None:
    """Answer requests on stdin until it ends. What the library prints goes nowhere."""
    module, function = name.split(":")
    call = getattr(importlib.import_module(module), function)
    source, sink = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    state = mmap.mmap(-1, 2)  # what a worker tells before it dies: whether it has answered, whether it is in a call
    _die_with_parent()
    while True:
        state[:] = b"\0\0"
        worker = os.fork()
        if worker == 0:
            _die_with_parent()
            _work(call, source, sink, state)
        if os.waitpid(worker, 0)[1] == 0 or not state[1]:
            return  # the pipes may hold half of something
        sink.write(LENGTH.pack(SPOILED if state[0] else FAILED))
        sink.flush()


def _die_with_parent() -> None:
    """On Linux; elsewhere a worker that stands still outlives a killed run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)


def _work(call: Callable[[bytes], bytes], source: IO[bytes], sink: IO[bytes], state: mmap.mmap) -> None:
    """In the worker: nothing is written before a call has succeeded, and nothing read beyond one request."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]  # of this machine or its batch system; negative: none
    try:
        while len(head := _read(source, 2 * LENGTH.size)) == 2 * LENGTH.size:
            memory, size = LENGTH.unpack_from(head)[0], LENGTH.unpack_from(head, LENGTH.size)[0]
            request = _read(source, size)
            state[1] = 1
            signal.alarm(SECONDS)
            resource.setrlimit(resource.RLIMIT_AS, (held + memory if most < 0 else min(held + memory, most), most))
            answer = call(request)
            state[1] = 0
            signal.alarm(0)
            sink.write(LENGTH.pack(len(answer)) + answer)
            sink.flush()
            state[0] = 1
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
