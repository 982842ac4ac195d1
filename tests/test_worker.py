"""Jobs in forks of a worker: same calls, same errors, and nothing that outlives the run or the job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lamofc import worker
from lamofc.errors import BitstreamError, JobError

KIND = ("plain", ["json"])
OWNER = """
import os, time
from lamofc import worker
worker.offer()
print(os.environ["LAMOFC_WORKERS"], flush=True)
time.sleep(600)
"""
WAITING = """
import pathlib, sys
from lamofc import worker
worker.call(("plain", []), "test_worker:wait", path=pathlib.Path(sys.argv[1]))
"""


@pytest.fixture
def run(monkeypatch):
    """A process that offers workers, as the workflow's main process does."""
    monkeypatch.delenv(worker.FOLDER, raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    monkeypatch.setenv(worker.FOLDER, owner.stdout.readline().strip())
    monkeypatch.setenv(worker.OWNER, str(owner.pid))
    yield owner
    owner.kill()
    owner.wait()


def gone(pid: int) -> bool:
    """Within ten seconds. A zombie that nobody has waited for is gone too."""
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def write_ids(path: Path, text: str) -> None:
    path.write_text(f"{os.getpid()} {os.getppid()} {text}")


def refuse(path: Path) -> None:
    raise BitstreamError(f"{path}: truncated")


def divide() -> None:
    print(1 / 0)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait(path: Path) -> None:
    write_ids(path, "")
    time.sleep(600)


def test_calls_are_forks_of_one_worker(run, tmp_path):
    for i in range(3):
        worker.call(KIND, "test_worker:write_ids", path=tmp_path / str(i), text="x")
    ids = [p.read_text().split() for p in sorted(tmp_path.iterdir())]
    assert len({i for i, *_ in ids}) == 3 and len({parent for _, parent, _ in ids}) == 1
    assert str(os.getpid()) not in {i for row in ids for i in row}


@pytest.mark.parametrize("offered", ["off", "/nowhere"])
def test_without_workers_a_job_calls_its_function_itself(offered, tmp_path, monkeypatch):
    monkeypatch.setenv(worker.FOLDER, offered)
    worker.call(KIND, "test_worker:write_ids", path=tmp_path / "out", text="x")
    assert (tmp_path / "out").read_text().split()[0] == str(os.getpid())


def test_errors_come_back_as_themselves(run, tmp_path):
    with pytest.raises(BitstreamError, match=r"a\.lmfc: truncated"):
        worker.call(KIND, "test_worker:refuse", path=tmp_path / "a.lmfc")
    with pytest.raises(JobError, match="ZeroDivisionError"):
        worker.call(KIND, "test_worker:divide")
    with pytest.raises(JobError, match="died"):
        worker.call(KIND, "test_worker:die")
    worker.call(KIND, "test_worker:write_ids", path=tmp_path / "out", text="the worker lives on")


def test_output_goes_where_the_job_writes(run, tmp_path, capfd):
    with pytest.raises(JobError):
        worker.call(KIND, "test_worker:divide")
    assert "division by zero" in capfd.readouterr().err


def test_a_killed_job_ends_its_fork(run, tmp_path):
    job = subprocess.Popen([sys.executable, "-c", WAITING, tmp_path / "ids"])
    fork, parent = ids_of(tmp_path / "ids")
    job.kill()
    job.wait()
    assert gone(fork) and not gone_now(parent)


def test_the_end_of_the_run_ends_workers_and_forks(run, tmp_path):
    job = subprocess.Popen([sys.executable, "-c", WAITING, tmp_path / "ids"], stderr=subprocess.DEVNULL)
    fork, parent = ids_of(tmp_path / "ids")
    run.kill()
    run.wait()
    assert gone(fork) and gone(parent)
    assert job.wait(10) != 0


def ids_of(path: Path) -> tuple[int, int]:
    for _ in range(3000):
        if path.is_file() and len(words := path.read_text().split()) == 2:
            return int(words[0]), int(words[1])
        time.sleep(0.01)
    raise AssertionError("the job did not start")


def gone_now(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()
