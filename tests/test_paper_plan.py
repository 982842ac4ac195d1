"""The paper tier as Snakemake plans it: every job of its 25 curves, in seconds."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lamofc.config import Plan

ROOT = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())
SECONDS = 15


@pytest.mark.parametrize("tier", ["paper"])
def test_a_dry_run_lists_every_job_in_time(tier):
    """Processor time, so that other work on the machine does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "snakemake", "-n", "--nolock", "--configfile", f"config/{tier}.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    plan = Plan(DEFAULT | yaml.safe_load((ROOT / f"config/{tier}.yaml").read_text()), ROOT)
    wanted = {"evaluate": plan.pairs + plan.input_pairs, "extract": plan.curves, "sensitivity": plan.curves,
              "encode_learned": [p for p in plan.pairs if p[1].startswith("dtufc-")]}  # fmt: skip
    for rule, pairs in wanted.items():
        assert int(jobs[rule]) == len(pairs), rule
    assert len(plan.curves) == 25 and len(wanted["encode_learned"]) == 100


def test_the_papers_pair_of_codecs():
    """Hyperprior and ELIC at the paper's sizes and five lambdas, with published weights, beside our own."""
    plan = Plan(DEFAULT | yaml.safe_load((ROOT / "config/paper.yaml").read_text()), ROOT)
    sizes = {"hyperprior": (128, 192), "elic": (192, 320)}
    for codec, (n, m) in sizes.items():
        for assign in ("floor", "nearest"):
            arm = plan.arms[f"dtufc-{codec}-{assign}"]
            network = plan.networks[arm["parameters"]["network"]]
            assert arm["ladder"] == network["lambdas"] == [0.02, 0.01, 0.007, 0.004, 0.001]
            assert (network["n"], network["m"]) == (n, m)
            archive = plan.packages[network["published"]["package"]]["archives"][0]
            assert archive["repo"] == "chansongoal/DT-UFC" and archive["pin"] == "record"
            assert any(k.startswith(f"{network['published']['folder']}/") for k in archive["keep"])
            trained = plan.networks[f"{codec}-paper"]
            assert (trained["n"], trained["m"], trained["lambdas"]) == (n, m, network["lambdas"])
        assert plan.arms[f"dtufc-{codec}-floor"]["parameters"]["packing"] == "paper"
    assert {"tailor", "uq-ec", "identity"} <= set(plan.arms)
