"""The benchmark of the workflow reads what Snakemake logs."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import workflow

LOG = """
Provided cores: 2 (use --cores to define parallelism)
[Wed Nov 25 13:21:34 2026]
localrule encode:
    input: a, b
    log: logs/one.log
    jobid: 19
[Wed Nov 25 13:21:34 2026]
rule decode:
    log: logs/two.log
    jobid: 4
[Wed Nov 25 13:21:44 2026]
Finished jobid: 4 (Rule: decode)
[Wed Nov 25 13:21:54 2026]
Finished jobid: 19 (Rule: encode)
"""


def test_share_of_time_that_is_not_computing(tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "ROOT", tmp_path)
    (tmp_path / "logs").mkdir()
    one = "encode: 100%\n18.8 s of processor time, peak 70 MiB\n0.2 s of processor time, peak 20 MiB\n"
    (tmp_path / "logs/one.log").write_text(one)
    (tmp_path / "logs/two.log").write_text("9.0 s of processor time, peak 70 MiB\n")
    run = workflow.read(LOG)
    assert [j.seconds for j in run.jobs] == [20, 10] and run.cores == 2
    assert run.seconds() == 20
    # slots: 20 + 10 s of jobs and twice 4 s before them; computing: 28 s
    slots, wall = workflow.report(run, 4)[-2:]
    assert slots == f"not computing: {100 * (1 - 28 / 38):.1f} % of slot time"
    assert wall.startswith(f"not computing: {100 * (1 - 28 / 48):.1f} % of wall time")  # two slots for 4 + 20 s


def test_jobs_that_do_not_say_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "ROOT", tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/one.log").write_text("10.0 s of processor time, peak 70 MiB\n")
    lines = workflow.report(workflow.read(LOG), 4)
    assert "1 jobs do not say" in lines[-3]
    assert lines[-2].split()[2] == f"{100 * (1 - 10 / 28):.1f}"


@pytest.mark.parametrize("text", ["", "Nothing to be done"])
def test_a_log_without_jobs(text):
    assert workflow.read(text).ended == []


def test_every_job_notes_what_it_computed(tmp_path, monkeypatch):
    """In its own process, and in programs that it ran."""
    monkeypatch.setattr(workflow, "ROOT", tmp_path)
    code = (
        "import subprocess, sys\nfrom lamofc.stages.job import logged\n"
        "with logged('job.log'):\n    subprocess.run([sys.executable, '-c', 'sum(range(10**7))'], check=True)\n"
    )
    scripts = str(Path(__file__).parents[1] / "workflow/scripts")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": scripts}, check=True)
    job = workflow.Job("fetch", start=None, log="job.log")
    assert workflow.computing(job) > 0.05
