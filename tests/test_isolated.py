"""A library that dies, stands still or spoils its memory on forged bytes does not harm what is asked afterwards."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lamofc import isolated
from lamofc.errors import BitstreamError

LARGE = b"fine " + bytes(range(256)) * 20_000  # more than pipes hold


@pytest.fixture
def ask(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    call = isolated.Isolated("spoiling:answer")
    yield lambda request: call(request, 1 << 30)
    if "spoiling:answer" in isolated._THREAD.__dict__.get(os.getpid(), {}):
        isolated._discard("spoiling:answer")


def test_requests_of_any_size_are_answered(ask):
    for request in (b"fine", LARGE, b"fine again"):
        assert ask(request) == request[::-1]


@pytest.mark.parametrize("before", [[], [b"fine"], [LARGE, b"fine"]])
def test_a_call_that_dies_is_refused_and_the_next_is_answered(ask, before):
    for request in [*before, b"die", LARGE]:
        if request == b"die":
            with pytest.raises(BitstreamError, match="spoiling failed on the bytes"):
                ask(request)
        else:
            assert ask(request) == request[::-1]


@pytest.mark.parametrize("forged", [b"die-midway", b"stand-still"])
@pytest.mark.parametrize("later", [b"fine", LARGE])
def test_a_request_that_spoils_the_process_costs_later_ones_time_alone(ask, forged, later, monkeypatch):
    """The fuzzer's find: SZ3 answered a forged stream, and what came after it was waited for without end."""
    assert ask(forged) == forged[::-1]
    patience = iter([1, 100])  # seconds: for the process that is spoiled, and for a new one on a busy machine
    monkeypatch.setattr(isolated, "_deadline", lambda: time.monotonic() + next(patience))
    assert ask(later) == later[::-1]


def test_threads_have_servers_of_their_own(ask):
    with ThreadPoolExecutor(3) as pool:
        requests = [b"fine %d " % k * 5000 for k in range(9)]
        assert list(pool.map(ask, requests)) == [r[::-1] for r in requests]


def test_a_limit_of_the_machine_on_memory_is_kept_to():
    """Batch systems set one: it cannot be raised, and need not be."""
    code = """
import resource
from lamofc import isolated
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
print(isolated.Isolated("spoiling:answer")(b"fine", 1 << 30).decode())
print(isolated.Isolated("spoiling:answer")(b"fine", 1 << 40).decode())
"""
    assert script(code).stdout == b"enif\nenif\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no death signal of parents")
def test_what_stands_still_ends_with_the_run():
    code = """
import os, threading
from lamofc import isolated
call = isolated.Isolated("spoiling:answer")
call(b"stand-still", 1 << 30)
print(isolated._server("spoiling:answer").pid, flush=True)
threading.Timer(1, lambda: os.kill(os.getpid(), 9)).start()
call(b"fine", 1 << 30)
"""
    found = script(code)
    assert found.returncode == -9, found.stderr
    session, end = int(found.stdout), time.monotonic() + 60
    while (left := _members(session)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left


def script(code):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent / "workflow/scripts")])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)


def _members(session: int) -> list[int]:
    """Processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found
