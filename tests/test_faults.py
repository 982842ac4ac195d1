"""Runs that are killed, that meet each other, that find the disk full or read-only.

More kills, at more instants: tests/faults/kill_runs.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "faults"))
import kill_runs
import project

ARMS = ("identity", "pca")
WANTED = ("scores.tsv", "bits.tsv")
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def peace(tmp_path_factory):
    """What a run in peace leaves."""
    place = project.make(tmp_path_factory.mktemp("peace") / "p", ARMS)
    code, said = project.run(place, wanted=WANTED)
    assert code == 0, said
    return project.contents(place)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["workflow", "job", *(pytest.param(k, marks=SLOW) for k in ("session", "worker"))])
def test_a_killed_run_ends_like_one_in_peace(peace, tmp_path, kind):
    place, rng = project.make(tmp_path / "p", ARMS), np.random.default_rng(len(kind))
    process = project.start(place, log=place / "said.txt", wanted=WANTED)
    wait_for(lambda: project.jobs_of(process) or process.poll() is not None)
    killed = project.random_kill(process, rng, kind, rng.uniform(0.2, 3))
    assert killed == kind, (place / "said.txt").read_text()
    assert process.wait(120) != 0 or kind == "worker"  # an idle worker is replaced, and the run goes on
    before = project.finished(place)
    assert kill_runs.damaged(place, before, peace) == []
    code, said = project.run(place, wanted=WANTED)
    assert code == 0, said
    assert kill_runs.redone(before, project.finished(place)) == []
    assert kill_runs.differences(project.contents(place), peace) == []
    assert project.litter(place) == []


def test_the_second_of_two_runs_refuses_and_no_lock_outlives_its_run(peace, tmp_path, monkeypatch):
    place = project.make(tmp_path / "p", ARMS)
    monkeypatch.setenv("TOY_SECONDS", "60")
    first = project.start(place, log=place / "said.txt", wanted=WANTED)
    wait_for(lambda: (place / "results/toy/.lock").exists() and project.jobs_of(first))
    code, said = project.run(place, wanted=WANTED)
    assert code != 0 and "cannot be locked" in said, said
    project.run(place, "--unlock", wanted=WANTED)  # what Snakemake advises then; the run must still be protected
    code, said = project.run(place, wanted=WANTED)
    assert code != 0 and f"another run (process {first.pid} on" in said and "Traceback" not in said, said
    assert first.poll() is None, "the first run ended too early to show anything"
    project.kill_all(first)
    monkeypatch.delenv("TOY_SECONDS")
    code, said = project.run(place, wanted=WANTED)
    assert code == 0, said
    assert kill_runs.differences(project.contents(place), peace) == []


@pytest.fixture
def small_disk(tmp_path):
    """A project whose results are on a disk of their own, of 100 kB."""
    place = project.make(tmp_path / "p", ARMS)
    disk = place / "results/toy"
    disk.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", disk], check=True)


def test_full_and_read_only_disks_give_one_clear_error(peace, small_disk):
    disk = small_disk / "results/toy"

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)

    code, said = project.run(small_disk, wanted=WANTED)
    assert code != 0 and "No space left on device" in said and "free space" in said, said
    assert "Traceback" not in said, said
    assert project.litter(small_disk) == []
    remount("ro")
    code, said = project.run(small_disk, wanted=WANTED)
    assert code != 0 and "Read-only file system" in said and "set another `results:`" in said, said
    assert "Traceback" not in said, said
    remount("rw,size=64m")
    code, said = project.run(small_disk, wanted=WANTED)
    assert code == 0, said
    assert kill_runs.differences(project.contents(small_disk), peace) == []


def test_a_job_waits_for_its_predecessor(tmp_path):
    """A job that outlived its run keeps its log, and the same job of the next run waits for it."""
    code = (
        "import sys, time\nfrom lamofc.stages.job import logged\n"
        "with logged(sys.argv[1]):\n    time.sleep(float(sys.argv[2])); print(time.monotonic())\n"
    )
    command, log = [sys.executable, "-c", code, str(tmp_path / "a.log")], tmp_path / "a.log"
    first = subprocess.Popen([*command, "1.5"])
    wait_for(log.exists)
    time.sleep(0.2)
    second = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
    assert first.poll() == 0 and "waited for the same job" in second.stderr
    printed, computed = log.read_text().splitlines()  # of the second alone
    assert float(printed) > 0 and computed.endswith("MiB")


def test_litter_of_dead_processes_goes_and_that_of_living_ones_stays(tmp_path):
    from lamofc.jsonio import write_text

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gone, stays = tmp_path / f".a.json.{dead.pid}.partial", tmp_path / f".a.json.{os.getppid()}.partial"
    gone.write_text("half"), stays.write_text("half")
    write_text(tmp_path / "a.json", "whole")
    assert not gone.exists() and stays.exists() and (tmp_path / "a.json").read_text() == "whole"


def test_half_removed_folders_are_not_taken_for_whole(peace, tmp_path):
    """As when Snakemake is killed while it removes decoded features, or an output it wants to make anew."""
    place = project.make(tmp_path / "p", ARMS)
    code, said = project.run(place, "--notemp", wanted=WANTED)
    assert code == 0, said
    results = place / "results/toy"
    (results / "decoded/toy-a.toy.one/identity/decode.json").unlink()
    (results / "bitstreams/toy-a.toy.one/pca/1.6.lmfc").unlink()
    assert not (results / ".lock").read_text()  # a run that ended by itself leaves no name
    (results / ".lock").write_text("process 1 on a machine that lost its power\n")
    code, said = project.run(place, wanted=WANTED)
    assert code == 0, said
    assert "rule encode:" in said and "arm=pca" in said and "arm=identity" not in said, said
    assert kill_runs.differences(project.contents(place), peace) == []
    assert not (results / "decoded/toy-a.toy.one/identity").exists()


def test_sweeping_takes_what_lacks_files_and_nothing_else(tmp_path):
    from lamofc import lock
    from lamofc.stages.job import whole_directory

    places = [tmp_path / "r/decoded/c" / name for name in ("whole", "halved", "gone", "unnoted")]
    for place in places:
        with whole_directory(place) as folder:
            (folder / "a").write_text("1"), (folder / "b").write_text("2")
    (tmp_path / "r/decoded/c/.unnoted.whole").unlink()
    (places[0] / ".snakemake_timestamp").touch()
    for place in places[1:]:
        (place / "a").unlink()
    places[2].joinpath("b").unlink(), places[2].rmdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from pathlib import Path; from lamofc import lock\n"
         "lock.hold(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)", str(tmp_path / "r")],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    holder.stdout.readline()
    lock.recover(tmp_path / "state", tmp_path / "r")
    assert [p.is_dir() for p in places] == [True, True, False, True]  # a run is alive there: hands off
    holder.kill()
    holder.wait()
    lock.recover(tmp_path / "state", tmp_path / "r")
    assert [p.is_dir() for p in places] == [True, False, False, True]
    assert sorted(p.name for p in (tmp_path / "r/decoded/c").glob(".*")) == [".whole.whole"]
