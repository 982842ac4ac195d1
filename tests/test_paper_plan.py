"""The paper tier as Snakemake plans it: every job of its 25 curves, in seconds."""

import re
import resource
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from lamofc import codecs
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
    promised, (jobs_in_all, submissions_in_all) = counts_in_the_docs()
    assert {rule: int(jobs.get(rule, 0)) for rule in promised} == promised
    others = {"fetch_package", "prepare_model", "prepare_dataset", "draw", "tabulate", "all", "total"}
    assert set(jobs) - set(promised) <= others
    assert jobs_in_all == sum(promised.values())
    grouped = len(plan.pairs)  # fit, encode and decode of a curve and arm go together
    assert submissions_in_all == grouped + sum(
        promised[r] for r in ("extract", "sensitivity", "evaluate", "encode_input", "decode_input", "train")
    )


def counts_in_the_docs():
    """Jobs by rule of the table in docs/cluster.md, and its last row: jobs, submissions."""
    text = (ROOT / "docs/cluster.md").read_text().partition("## What the paper tier costs")[2].partition("Without")[0]
    rows = re.findall(r"^\| ([a-z_, ]+) \| ([\d +]+) \| \d", text, re.MULTILINE)
    counts = {}
    for rules, numbers in rows:
        counts |= zip(rules.split(", "), map(int, numbers.split(" + ")), strict=True)
    return counts, [int(n) for n in re.findall(r"\*\*(\d+)\*\*", text)[:2]]


def test_jobs_by_family_are_those_of_the_plan():
    """A curve: extract, sensitivity; fit where a codec fits, encode, decode and evaluate for an arm; three an input."""
    plan = Plan(DEFAULT | yaml.safe_load((ROOT / "config/paper.yaml").read_text()), ROOT)
    text = (ROOT / "docs/paper-tier.md").read_text().partition("## What to expect, by family")[2].partition("##")[0]
    promised = {
        n: (int(c), int(j)) for n, c, j in re.findall(r"^\| ([\w.-]+)[^|]*\| (\d+) \| (\d+)", text, re.MULTILINE)
    }
    models = {"DINOv3-7B": "dinov3-7b", "Qwen3-8B": "qwen3-8b", "falcon-mamba-7b": "falcon-mamba-7b",
              "Kimi-Audio-7B": "kimi-audio-7b", "SD3.5-large": "sd35-large"}  # fmt: skip
    for title, model in models.items():
        mine = {c for c, row in plan.curves.items() if row["model"] == model}
        coded = sum(3 + codecs.needs_fit(plan.arms[a]) for c, a in plan.pairs if c in mine)
        asked = sum(3 for c, _ in plan.input_pairs if c in mine)
        assert promised[title] == (len(mine), 2 * len(mine) + coded + asked), title


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
            assert trained["architecture"] == network["architecture"]
        assert plan.arms[f"dtufc-{codec}-floor"]["parameters"]["packing"] == "paper"
    assert {"tailor", "uq-ec", "identity"} <= set(plan.arms)


def test_of_a_pipeline_of_the_hub_one_copy_of_the_weights_is_fetched():
    """Names and sizes in GB as the page of SD3.5-large lists them."""
    ours = {"text_encoder/model.safetensors": 0.25, "text_encoder_2/model.safetensors": 1.39,
            "text_encoder_3/model-00001-of-00002.safetensors": 4.99, "vae/diffusion_pytorch_model.safetensors": 0.17,
            "text_encoder_3/model-00002-of-00002.safetensors": 4.53, "scheduler/scheduler_config.json": 0,
            "transformer/diffusion_pytorch_model-00001-of-00002.safetensors": 9.99, "text_encoder/config.json": 0,
            "transformer/diffusion_pytorch_model-00002-of-00002.safetensors": 6.31, "model_index.json": 0,
            "transformer/diffusion_pytorch_model.safetensors.index.json": 0, "tokenizer_3/spiece.model": 0,
            "text_encoder_3/model.safetensors.index.json": 0}  # fmt: skip
    copies = {"sd3.5_large.safetensors": 16.46, "text_encoder/model.fp16.safetensors": 0.25,
              "text_encoder_3/model.fp16-00001-of-00002.safetensors": 4.99, "text_encoders/clip_g.safetensors": 1.39,
              "text_encoders/t5xxl_fp16.safetensors": 9.79, "text_encoder_3/model.safetensors.index.fp16.json": 0,
              "sd3.5_large_demo.png": 0.02}  # fmt: skip
    rows = yaml.safe_load((ROOT / "config/paper/packages.yaml").read_text())
    for name in ("sd35-large", "sd3-medium"):
        keep = rows[name]["archives"][0]["keep"]
        assert {n for n in ours | copies if any(fnmatch(n, k) for k in keep)} == set(ours)
    assert sum(ours.values()) * 1e9 < rows["sd35-large"]["max_bytes"]
