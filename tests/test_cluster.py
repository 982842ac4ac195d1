"""Other places to run: an environment per stage, any queue, and a real Slurm; results equal a local run's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "faults"))
import project  # noqa: E402

ROOT = HERE.parent
CLUSTER = HERE / "cluster"
ARMS = ("uq-ec",)
SCORES = ("scores.tsv",)
FAST = ["--seconds-between-status-checks", "1", "--latency-wait", "20"]
SLURM = [
    "--workflow-profile", "profiles/slurm", "--slurm-no-account", "--slurm-status-command", "squeue",
    "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "20",
]  # fmt: skip


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """What a run on this machine makes of the test project."""
    folder = project.make(tmp_path_factory.mktemp("local"), ARMS)
    code, said = project.run(folder)
    assert code == 0, said
    return project.contents(folder)


@pytest.fixture
def stand_in(monkeypatch):
    """A stand-in for conda first on the path, its packages of the versions in requirements.lock."""
    monkeypatch.setenv("PATH", f"{CLUSTER}{os.pathsep}{os.environ['PATH']}")
    for name in ("UV_CONSTRAINT", "PIP_CONSTRAINT"):
        monkeypatch.setenv(name, str(ROOT / "requirements.lock"))
    return CLUSTER / "conda"


def differences(a: dict[str, bytes], b: dict[str, bytes]) -> list[str]:
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def same_scores(made: dict[str, bytes], local: dict[str, bytes]) -> bool:
    """Whether a run for the scores alone left, byte for byte, what the whole run left of the same name."""
    return "scores.tsv" in made and all(local.get(name) == content for name, content in made.items())


def called(interpreter: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
    done = subprocess.run([str(interpreter), *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout


def test_each_stage_runs_in_its_own_environment(local, stand_in, tmp_path):
    folder = project.make(tmp_path / "project", ARMS)
    code, said = project.run(folder, "--sdm", "conda")
    assert code == 0, said
    assert differences(project.contents(folder), local) == []
    made = sorted((folder / ".snakemake/conda").glob("*/bin/python"))
    assert len(made) == 3
    with_torch = [bool(list(p.parents[1].glob("lib/*/site-packages/torch"))) for p in made]
    assert sorted(with_torch) == [False, False, True]


def test_all_numeric_codecs_and_drawing_run_without_torch(stand_in, tmp_path):
    for name in ("codecs", "draw"):
        file, prefix = ROOT / f"envs/{name}.yaml", tmp_path / name
        called(sys.executable, str(stand_in), "env", "create", "--file", str(file), "--prefix", str(prefix))
        assert not list(prefix.glob("lib/*/site-packages/torch"))
    said = called(tmp_path / "codecs/bin/python", str(CLUSTER / "every_codec.py"))
    assert {"cast", "uq-ec", "zfp", "sz3", "kvtc"} <= set(said.split())
    scripts = ROOT / "workflow/scripts"
    modules = [f"{p.parent.name}.{p.stem}" for d in ("figures", "tables") for p in sorted((scripts / d).glob("*.py"))]
    drawing = [*modules, "lamofc.stages.collect", "lamofc.results.leaderboard", "lamofc.results.inputs"]
    called(tmp_path / "draw/bin/python", "-c", f"import {', '.join(drawing)}")


def test_any_queue_and_a_retry_that_asks_for_more_memory(local, tmp_path):
    folder, log = project.make(tmp_path / "project", ARMS), tmp_path / "submitted"
    submit = f"{CLUSTER}/submit {log} {{resources.mem_mb}} {{resources.gpu}}"
    queue = ["--workflow-profile", "profiles/generic", "--cluster-generic-submit-cmd", submit, *FAST]
    code, said = project.run(folder, *queue, wanted=SCORES)
    assert code == 0, said
    assert same_scores(project.contents(folder), local)
    memory, gpus = zip(*(map(int, line.split()) for line in log.read_text().splitlines()), strict=True)
    assert memory[1] == 2 * memory[0]
    assert set(gpus) == {0}


def test_gpus_are_those_that_the_profile_or_the_user_grants(tmp_path):
    folder = project.make(tmp_path / "project", ARMS)
    with open(folder / "toy.yaml", "a") as file:
        file.write("device: cuda\n")
    for granted, arguments in ((0, []), (1, ["--resources", "gpu=1"])):
        code, said = project.run(folder, "-n", *arguments, wanted=SCORES)
        assert code == 0, said
        rules = [block for block in said.split("\nrule ")[1:] if block.startswith(("extract", "evaluate"))]
        assert len(rules) == 2 and all(f"gpu={granted}" in block for block in rules), said


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A Slurm of this machine alone, for as long as the tests of this file."""
    script, folder = str(CLUSTER / "slurm.sh"), tmp_path_factory.mktemp("slurm")
    if not shutil.which("slurmctld") and os.environ.get("CI") == "true" and os.getuid() == 0:
        subprocess.run([script, "install"], capture_output=True, timeout=300)
    if not shutil.which("slurmctld") or not shutil.which("munged"):
        pytest.skip("no Slurm here: as root, tests/cluster/slurm.sh install (with CI=true the tests do it)")
    if os.getuid() != 0:
        pytest.skip("starting a Slurm for the test needs root")
    if (found := Path("/etc/slurm/slurm.conf")).exists() and not found.is_symlink():
        pytest.skip("this machine has a Slurm of its own in /etc/slurm")
    if subprocess.run(["sinfo"], capture_output=True).returncode == 0:
        pytest.skip("a Slurm is running here already")
    try:
        environment = os.environ | {"SLURM_TEST_CPUS": "8"}
        subprocess.run([script, "start", str(folder)], env=environment, timeout=120, check=True)
        yield folder
    finally:
        subprocess.run([script, "stop", str(folder)], check=True, timeout=60)


def test_slurm_makes_what_a_local_run_makes(local, slurm, tmp_path):
    folder = project.make(tmp_path / "project", ARMS)
    code, said = project.run(folder, *SLURM, wanted=SCORES)
    assert code == 0, said
    assert said.count("has been submitted with SLURM jobid") == 3  # extract; fit, encode and decode; evaluate
    assert same_scores(project.contents(folder), local)


HOUR = 3600
NEEDED = [f"models/{m}" for m in ("dinov2-s", "smollm2-135m")] + ["data/stamps-photos", "data/capitals-choice"]
REAL = {
    "results": "results/toy",
    "curves": ["photos.dinov2-s.block11", "capitals.smollm2-135m.layer4"],
    "arms": ["cast", "uq-ec", "dtufc-hyperprior-nearest"],
    "limit": {"test": 6, "calibration": 6},
}


def real_project(folder: Path) -> Path:
    """Tracked files with the fetched resources beside them, and a small run of real models."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "resources").symlink_to(ROOT / "resources")
    (folder / "toy.yaml").write_text(yaml.safe_dump(REAL))
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    if not all((ROOT / "resources" / name).is_dir() for name in NEEDED):
        pytest.skip("run `snakemake fetch --cores 2` first: resources/ is not filled")
    folder = real_project(tmp_path_factory.mktemp("real"))
    code, said = project.run(folder, seconds=HOUR)
    assert code == 0, said
    return project.contents(folder)


@pytest.mark.slow
@pytest.mark.resources
def test_real_models_in_their_environments(real, stand_in, tmp_path):
    folder = real_project(tmp_path / "project")
    code, said = project.run(folder, "--sdm", "conda", seconds=HOUR)
    assert code == 0, said
    assert differences(project.contents(folder), real) == []


@pytest.mark.slow
@pytest.mark.resources
def test_real_models_on_slurm(real, slurm, tmp_path):
    folder = real_project(tmp_path / "project")
    code, said = project.run(folder, *SLURM, seconds=HOUR)
    assert code == 0, said
    assert differences(project.contents(folder), real) == []
