"""A copy of the project with a model of numpy alone: the real rules and stages, one run in seconds."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
CURVES = ("toy-a.toy.one",)
ARMS = ("identity", "uq-ec", "lossless-zstd", "pca")
WANTED = ("scores.tsv", "bits.tsv", "tables/rate_at.tsv", "figures/rate_score.svg")
# What may differ between two runs of the same thing: when, how fast, on how much memory, by which commit.
CLOCKED = {"encode_mbps", "decode_mbps", "head_seconds", "tail_seconds", "unsplit_seconds", "commit"}
CLOCKED_FILES = ("logs/", "benchmarks/", "decoded/", ".lock", "latency.json")


def make(folder: Path, arms: tuple[str, ...] = ARMS, n: int = 6) -> Path:
    """Tracked files of the project, the toy model, its data set and a configuration that runs it."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in names.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("docs/", "networks/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    library = folder / "workflow/scripts/lamofc"
    shutil.copy(ROOT / "tests/faults/toy/model.py", library / "models/toy.py")
    shutil.copy(ROOT / "tests/faults/toy/task.py", library / "tasks/toy.py")
    _configure(folder, arms, n)
    _resources(folder, n)
    return folder


def _configure(folder: Path, arms: tuple[str, ...], n: int) -> None:
    model = {"title": "toy", "licence": "none", "family": "toy", "kinds": ["key", "tokens"], "convert": "toy",
             "packages": []}  # fmt: skip
    data = {"builder": "toy", "packages": ["toy"], "licence": "none", "seed": 0}
    package = {"source": "pypi", "package": "toy", "version": "1", "file": "toy.whl", "sha256": "0" * 64, "keep": ["*"]}
    tables = {
        "models": {"toy": model},
        "datasets": {"toy": data},
        "packages": {"toy": {"licence": "none", "archives": [package]}},
    }
    for name, table in tables.items():
        (folder / f"config/{name}.yaml").write_text(yaml.safe_dump(table))
    header = (folder / "config/scenarios.tsv").read_text().splitlines()[0].split("\t")
    row = {"category": "CLU", "stands_for": "toy", "model": "toy", "split": "one", "dataset": "toy", "task": "toy",
           "readout": "-", "n": n, "n_calibration": n}  # fmt: skip
    with open(folder / "config/scenarios.tsv", "w", newline="") as file:
        writer = csv.DictWriter(file, header, restval="-", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"curve": c, "scenario": c.split(".")[0]} for c in CURVES)
    (folder / "toy.yaml").write_text(yaml.safe_dump({"results": "results/toy", "arms": list(arms)}))


def _resources(folder: Path, n: int) -> None:
    """What fetching would have left, made last so that it counts as up to date."""
    (folder / "resources/packages/toy").mkdir(parents=True)
    (folder / "resources/models/toy").mkdir(parents=True)
    data = folder / "resources/data/toy"
    data.mkdir(parents=True)
    items = [
        {"id": f"{part}{i}", "part": part, "seed": 100 * k + i, "label": i % 4, "prompt": "x" * 40}
        for k, part in enumerate(("calibration", "test"))
        for i in range(n)
    ]
    (data / "items.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))


def command(*arguments: str, wanted: tuple[str, ...] = WANTED) -> list[str]:
    targets = [f"results/toy/{name}" for name in wanted]
    return [sys.executable, "-m", "snakemake", *targets, *arguments, "--cores", "2", "--configfile", "toy.yaml"]


def start(folder: Path, *arguments: str, log: Path | None = None, **options: Any) -> subprocess.Popen:
    """A run in a session of its own."""
    environment = os.environ | {"PYTHONPATH": str(folder / "workflow/scripts"), "OMP_NUM_THREADS": "1"}
    out = open(log, "ab") if log else subprocess.PIPE  # noqa: SIM115
    return subprocess.Popen(
        command(*arguments, **options), cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def run(folder: Path, *arguments: str, seconds: float = 600, **options: Any) -> tuple[int, str]:
    """-> exit code and what it printed, of a run that may take so many seconds."""
    process = start(folder, *arguments, **options)
    said = process.communicate(timeout=seconds)[0].decode()
    return process.returncode, said


def jobs_of(run: subprocess.Popen) -> list[int]:
    """Ids of a run's job scripts, the ones a kernel would kill for memory."""
    return _below(run, lambda words: any(b".snakemake/scripts/" in w for w in words), session=True)


def workers_of(run: subprocess.Popen) -> list[int]:
    """Ids of a run's workers and of their forks, in which the jobs compute."""
    return _below(run, lambda words: b"lamofc.worker" in words and str(run.pid).encode() in words, session=False)


def _below(run: subprocess.Popen, wanted: Callable[[list[bytes]], bool], session: bool) -> list[int]:
    found = []
    for folder in (f for f in Path("/proc").iterdir() if f.name.isdecimal() and int(f.name) != run.pid):
        with contextlib.suppress(OSError, IndexError):
            owner = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[3])
            if wanted((folder / "cmdline").read_bytes().split(b"\0")) and (not session or owner == run.pid):
                found.append(int(folder.name))
    return found


def kill_all(process: subprocess.Popen) -> None:
    """SIGKILL for every process of a run's session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a results folder by name, without what a clock enters."""
    results, found = folder / "results/toy", {}
    for path in sorted(p for p in results.rglob("*") if p.is_file()):
        name = path.relative_to(results).as_posix()
        if not name.startswith(CLOCKED_FILES) and not name.endswith(".whole") and not name.endswith(CLOCKED_FILES):
            found[name] = _without_clock(path)
    return found


def _without_clock(path: Path) -> bytes:
    if path.name == "encode.json":
        return json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"}).encode()
    if path.parent.parent.name == "scores" or (path.suffix == ".json" and "scores" in path.parts):
        held = json.loads(path.read_text())
        held["rows"] = [{k: v for k, v in row.items() if k not in CLOCKED} for row in held["rows"]]
        return json.dumps(held).encode()
    if path.name in ("scores.tsv", "scores.parquet"):
        table = pd.read_csv(path, sep="\t") if path.suffix == ".tsv" else pd.read_parquet(path)
        return table.drop(columns=list(CLOCKED & set(table.columns))).to_csv(index=False).encode()
    return path.read_bytes()


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """Outputs that Snakemake holds for finished -> inode and time of their last change."""
    from base64 import urlsafe_b64decode

    state, out = folder / ".snakemake", {}
    unfinished = {p.relative_to(state / "incomplete").as_posix() for p in (state / "incomplete").rglob("*")}
    for record in (state / "metadata").rglob("*"):
        if record.is_file() and record.relative_to(state / "metadata").as_posix() not in unfinished:
            encoded = record.relative_to(state / "metadata").as_posix().replace("@", "").replace("/", "")
            path = folder / urlsafe_b64decode(encoded).decode()
            if path.exists() and "/decoded/" not in str(path):
                found = path.stat()
                out[path.relative_to(folder).as_posix()] = (found.st_ino, found.st_mtime_ns)
    return out


def litter(folder: Path) -> list[str]:
    """Partial files and folders that are still there."""
    return sorted(p.as_posix() for p in (folder / "results").rglob("*.partial"))


def random_kill(process: subprocess.Popen, rng: np.random.Generator, what: str, delay: float) -> str:
    """After `delay` seconds kill the workflow alone, everything, or one job; -> what was killed, or "nothing"."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(delay)
        return "nothing"
    if what in ("job", "worker"):
        return what if _kill_one(process, rng, jobs_of if what == "job" else workers_of) else "nothing"
    if what == "session":
        kill_all(process)
    else:
        process.kill()  # its jobs live on
    return what


def _kill_one(
    process: subprocess.Popen, rng: np.random.Generator, victims: Callable[[subprocess.Popen], list[int]]
) -> bool:
    """Wait for one to be there; False when the run ends before."""
    while process.poll() is None:
        if found := victims(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(rng.choice(found)), signal.SIGKILL)
                return True
        time.sleep(0.02)
    return False
