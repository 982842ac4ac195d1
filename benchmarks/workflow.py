"""What the workflow itself costs: python benchmarks/workflow.py [--log FILE] [-- SNAKEMAKE ARGUMENTS]

Times a dry run and, where nothing is left to do, a call that finds that out. Then, from the newest log under
.snakemake/log and the logs of its jobs: the share of the time that its slots were taken which was not computing, by
rule: Snakemake's start and graph (taken to be as long as the dry run), process starts, imports. Computing is the
processor time of the jobs' own calls, as they note it at the end of their logs. The machine must be idle otherwise,
since a slot that waits for a processor counts as not computing. The share of the wall time counts slots without a job,
and jobs that do not note what they computed, as not computing.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAMP = re.compile(r"^\[(\w{3} \w{3} +\d+ [\d:]+ \d{4})\]$")
COMPUTED = re.compile(r"^([\d.]+) s of processor time", re.MULTILINE)


@dataclass
class Job:
    rule: str
    start: datetime
    log: str = ""
    end: datetime | None = None

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass
class Run:
    cores: int = 1
    jobs: list[Job] = field(default_factory=list)

    @property
    def ended(self) -> list[Job]:
        return [j for j in self.jobs if j.end]

    def seconds(self) -> float:
        """From the first job's start to the last one's end."""
        return (max(j.end for j in self.ended) - min(j.start for j in self.jobs)).total_seconds()


def read(text: str) -> Run:
    """A log of Snakemake -> its jobs with start, end (whole seconds) and log file."""
    run, now, ids = Run(), None, {}
    for line in text.splitlines():
        if found := re.match(r"Provided cores: (\d+)", line):
            run.cores = int(found[1])
        elif found := STAMP.match(line):
            now = datetime.strptime(found[1], "%a %b %d %H:%M:%S %Y")
        elif found := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
            run.jobs.append(Job(found[1], now))
        elif found := re.match(r"    log: ([^ ,]+)", line):
            run.jobs[-1].log = found[1]
        elif found := re.match(r"    jobid: (\d+)", line):
            ids[found[1]] = run.jobs[-1]
        elif (found := re.match(r"Finished jobid: (\d+)", line)) and found[1] in ids:
            ids[found[1]].end = now
    return run


def computing(job: Job) -> float | None:
    """Processor time of the job's own calls, in its process and in a worker's; None if its log does not say."""
    path = ROOT / job.log
    found = COMPUTED.findall(path.read_text(errors="replace")) if job.log and path.is_file() else []
    return sum(map(float, found)) if found else None


def report(run: Run, start: float) -> list[str]:
    """Lines for the terminal. start: seconds until Snakemake has its graph."""
    rules, silent = defaultdict(lambda: [0, 0.0, 0.0]), 0
    for job in run.ended:
        seconds = computing(job)
        silent += seconds is None
        if seconds is not None:
            row = rules[job.rule]
            rules[job.rule] = [row[0] + 1, row[1] + job.seconds, row[2] + seconds]
    taken, own = (sum(row[k] for row in rules.values()) for k in (1, 2))
    before = start * run.cores
    lines = [f"{len(run.ended)} jobs on {run.cores} cores in {run.seconds():.0f} s after {start:.1f} s of start"]
    lines += [f"  {r:<16}{n:>5} jobs {s:>8.0f} s of slots {c:>8.1f} s computing" for r, (n, s, c) in rules.items()]
    if silent:
        lines.append(f"  {silent} jobs do not say how long they computed and are left out")
    if taken:
        wall = run.cores * (start + run.seconds())
        lines.append(f"not computing: {100 * (1 - own / (taken + before)):.1f} % of slot time")
        lines.append(f"not computing: {100 * (1 - own / wall):.1f} % of wall time, slots that had no job included")
    return lines


def timed(*arguments: str) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, done.stdout + done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, help="of Snakemake; the newest if not given")
    parser.add_argument("arguments", nargs="*", help="of snakemake, for the calls that are timed")
    options = parser.parse_args()
    start, said = timed(*options.arguments, "-n", "--quiet", "rules")
    print(f"dry run: {start:.1f} s")
    if "Nothing to be done" in said:
        print(f"a call that finds nothing to do: {timed(*options.arguments)[0]:.1f} s")
    logs = [options.log] if options.log else sorted((ROOT / ".snakemake/log").glob("*.snakemake.log"))
    runs = [(log, run) for log, run in ((p, read(p.read_text())) for p in logs) if run.ended]
    if not runs:
        sys.exit("no log tells when jobs began and ended (a --quiet run's does not)")
    print("\n".join([runs[-1][0].name, *report(runs[-1][1], start)]))


if __name__ == "__main__":
    main()
