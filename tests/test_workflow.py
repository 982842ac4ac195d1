"""The whole workflow on a few samples of real models, in a copy of the project: results, reruns, bad input."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import browser
import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[1]
CURVES = ["photos.dinov2-s.block11", "capitals.smollm2-135m.layer4", "speech-clean.whisper-tiny-en.encoder"]
TINY = {
    "results": "results/tiny",
    "curves": CURVES,
    "arms": ["identity", "cast", "lossless-zstd", "lossless-byteplane", "uq-ec", "dtufc-hyperprior-nearest"],
    "limit": {"test": 6, "calibration": 6},
}
NEEDED = [
    *(ROOT / "resources/models" / m for m in ("dinov2-s", "smollm2-135m", "whisper-tiny-en")),
    *(ROOT / "resources/data" / d for d in ("stamps-photos", "capitals-choice", "speech-clean")),
]
pytestmark = [
    pytest.mark.resources,
    pytest.mark.skipif(
        not all(p.is_dir() for p in NEEDED), reason="run `snakemake fetch --cores 2` first: resources/ is not filled"
    ),
]


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of the tracked files with the fetched resources beside them."""
    copy = tmp_path_factory.mktemp("project")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / "resources").symlink_to(ROOT / "resources")
    (copy / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return copy


def without_network() -> list[str]:
    """A prefix that takes the network from a command, where that can be had: as root on Linux."""
    prefix = ["unshare", "--net"]
    usable = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    return prefix if usable else []


def snakemake(project: Path, *arguments: str, config: dict | None = None) -> subprocess.CompletedProcess:
    """Run the workflow in the copy; the fetched resources count as up to date, and nothing is there to fetch with."""
    (project / "tiny.yaml").write_text(yaml.safe_dump(TINY | (config or {})))
    options = ["--cores", "2", "--configfile", "tiny.yaml"]
    command = [*without_network(), sys.executable, "-m", "snakemake", *arguments, *options]
    environment = os.environ | {"PYTHONPATH": str(project / "workflow/scripts")}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=1800)


@pytest.fixture(scope="session")
def run(project):
    """The scores of a whole run."""
    done = snakemake(project, "results/tiny/scores.tsv")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return pd.read_csv(project / "results/tiny/scores.tsv", sep="\t")


def planned(project: Path, *arguments: str, config: dict | None = None) -> dict[str, int]:
    """Job counts by rule of a dry run."""
    done = snakemake(project, "-n", *arguments, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("Job stats:")]
    if not starts:
        assert any("Nothing to be done" in line for line in lines)
        return {}
    counts = {}
    for line in lines[starts[0] + 3 :]:
        if len(line.split()) != 2:
            break
        counts[line.split()[0]] = int(line.split()[1])
    counts.pop("total")
    return counts


def test_table_has_the_named_columns(run):
    named = (
        "category scenario stands_for model split codec point n elements bytes asset_bytes bpfp ebpfp rel_mse cosine "
        "metric score score_low score_high reference_score flips encode_mbps decode_mbps commit"
    )
    assert set(named.split()) <= set(run.columns)
    assert set(run.curve) == set(CURVES)


def test_identity_and_lossless_rows_change_nothing(run):
    exact = run[run.codec.str.startswith("lossless") | (run.codec == "identity")]
    assert len(exact) == 3 * len(CURVES)
    assert (exact.flips == 0).all() and (exact.rel_mse == 0).all() and (exact.damage == 0).all()
    assert (exact.score == exact.reference_score).all()


def test_identity_costs_the_native_bits_and_little_more(run):
    identity = run[run.codec == "identity"].set_index("model")
    assert identity.bpfp["dinov2-s"] == pytest.approx(32, rel=1e-2)
    assert identity.bpfp["smollm2-135m"] == pytest.approx(16, rel=1e-2)


def test_bytes_are_file_sizes(run, project):
    for row in run.itertuples():
        path = project / f"results/tiny/bitstreams/{row.curve}/{row.codec}/{row.point}.lmfc"
        assert path.stat().st_size == row.bytes


def test_rate_falls_along_every_ladder(run):
    for (_, codec), rows in run.groupby(["curve", "codec"], sort=False):
        steps = rows.bytes.diff().dropna()
        assert (steps <= 0).all() if codec == "cast" else (steps < 0).all(), codec


SHOWN = ["figures/rate_score.svg", "figures/heatmap-vision.svg", "tables/codecs.html", "leaderboard.html"]
# Runs in the report: opens the folders, then a caption; the page then says what it shows.
CLICKS = """
addEventListener("load", async () => {
  const pause = () => new Promise(done => setTimeout(done, 300));
  const leaves = text => [...document.querySelectorAll("a,li,td,div,span")].filter(
    e => !e.closest(".document") && !e.children.length && e.textContent.trim() === text);
  const seen = [];
  await pause();
  for (const folder of ["Figures", "all curves"]) { leaves(folder).at(-1).click(); await pause(); }
  let line = leaves("rate_score").at(-1);
  while (line.querySelectorAll("a,button").length < 2) line = line.parentElement;
  line.querySelectorAll("a,button")[1].click();
  await pause();
  document.body.dataset.seen = document.body.innerText;
});
"""


def test_figures_tables_and_the_report_follow_from_the_run(run, project):
    """One figure is drawn again alone, in seconds; the report opens without a network and says how figures are read."""
    targets = [f"results/tiny/{name}" for name in SHOWN]
    done = snakemake(project, *targets)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert (project / "results/tiny/figures/heatmap-vision.pdf").is_file()
    script = project / "workflow/scripts/figures/rate_score.py"
    script.write_text(script.read_text() + "# edited\n")
    assert planned(project, targets[0]) == {"draw": 1}
    assert snakemake(project, targets[0]).returncode == 0
    done = snakemake(project, "--report", "results/tiny/report.html", *targets)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    page = (project / "results/tiny/report.html").read_text()
    end = page.rindex("</body>")
    (project / "clicked.html").write_text(f"{page[:end]}<script>{CLICKS}</script>{page[end:]}")
    if not browser.BROWSER:
        pytest.skip("no Chromium: the report is made but not opened")
    command = [browser.BROWSER, *browser.FLAGS, "--virtual-time-budget=9000", "--dump-dom"]
    shown = subprocess.run([*command, (project / "clicked.html").as_uri()], capture_output=True, text=True, timeout=300)
    seen = html.unescape(re.search(r'data-seen="([^"]*)"', shown.stdout)[1])
    assert "Which codec keeps which task at which rate?" in seen, seen
    assert not [line for line in shown.stderr.splitlines() if "CONSOLE" in line and "tailwind" not in line]


def test_second_call_does_nothing(run, project):
    assert planned(project, "results/tiny/scores.tsv") == {}


def test_a_new_codec_runs_only_its_own_jobs(run, project):
    source = (project / "workflow/scripts/lamofc/codecs/identity.py").read_text()
    (project / "workflow/scripts/lamofc/codecs/mine.py").write_text(source)
    with open(project / "config/codecs.yaml", "a") as file:
        file.write("\nmine: {codec: mine, ladder: [raw]}\n")
    jobs = planned(project, "results/tiny/scores.tsv", config={"arms": [*TINY["arms"], "mine"]})
    assert jobs == {"encode": 3, "decode": 3, "evaluate": 3, "collect": 1}


def test_the_sensitivity_of_the_answer_is_made_for_the_arm_that_asks(run, project):
    jobs = {n: planned(project, "results/tiny/scores.tsv", config={"arms": [n]}) for n in ("tailor", "tailor-task")}
    coded = {"fit": 3, "encode": 3, "decode": 3, "evaluate": 3, "collect": 1}
    assert jobs == {"tailor": coded | {"sensitivity": 3}, "tailor-task": coded | {"sensitivity_of_answer": 3}}


def test_editing_a_codec_reruns_that_codec_alone(run, project):
    path = project / "workflow/scripts/lamofc/codecs/lossless.py"
    path.write_text(path.read_text() + "\n# edited\n")
    jobs = planned(project, "results/tiny/scores.tsv")
    assert jobs == {"encode": 6, "decode": 6, "evaluate": 6, "collect": 1}


def test_a_new_data_set_for_a_known_model_is_one_row(run, project):
    with open(project / "config/scenarios.tsv", "a") as file:
        cells = "twin CLU twin hellaswag smollm2-135m layer4 capitals-choice choice - 6 6"
        file.write("\t".join(cells.split()) + "\n")
    jobs = planned(project, "results/tiny/scores.tsv", config={"curves": [*CURVES, "twin"]})
    edited = 6  # two lossless arms on three curves, by the test above
    assert jobs["extract"] == 1 and jobs["evaluate"] == len(TINY["arms"]) + edited


def test_unknown_config_key_is_named(project):
    done = snakemake(project, "-n", config={"codec": ["identity"]})
    assert done.returncode != 0
    assert "'codec' was unexpected" in done.stdout + done.stderr


def test_unknown_codec_parameter_is_named(project):
    path = project / "config/codecs.yaml"
    before = path.read_text()
    path.write_text(before + "\nwrong: {codec: identity, parameters: {stepp: 1}, ladder: [raw]}\n")
    done = snakemake(project, "-n")
    path.write_text(before)
    assert done.returncode != 0
    assert "wrong" in done.stdout + done.stderr and "stepp" in done.stdout + done.stderr


def test_unknown_model_is_named(project):
    path = project / "config/scenarios.tsv"
    before = path.read_text()
    path.write_text(before.replace("\twhisper-tiny-en\t", "\twhisper-huge\t"))
    done = snakemake(project, "-n")
    path.write_text(before)
    assert done.returncode != 0
    assert "'whisper-huge' is no row of config/models.yaml" in done.stdout + done.stderr


def test_lost_chunk_stops_the_job_and_leaves_nothing(run, project):
    store = project / "results/tiny/features" / CURVES[0] / "test.zarr/block11/c"
    chunk = next(p for p in store.rglob("*") if p.is_file())
    kept = chunk.read_bytes()
    chunk.unlink()
    target = f"results/tiny/bitstreams/{CURVES[0]}/lossless-pcodec"
    done = snakemake(project, target, "--rerun-triggers", "mtime")
    chunk.write_bytes(kept)
    assert done.returncode != 0
    assert "chunk files are missing" in done.stdout + done.stderr and str(CURVES[0]) in done.stdout + done.stderr
    assert not (project / target).exists()
    assert not list((project / target).parent.glob(".*partial"))


def test_damaged_bitstream_stops_decoding_and_leaves_nothing(run, project):
    target = f"results/tiny/decoded/{CURVES[0]}/identity"
    stream = project / f"results/tiny/bitstreams/{CURVES[0]}/identity/raw.lmfc"
    kept = stream.read_bytes()
    for damaged in (kept[: len(kept) // 2], kept[:5000] + bytes([kept[5000] ^ 1]) + kept[5001:]):
        stream.write_bytes(damaged)
        done = snakemake(project, target, "--rerun-triggers", "mtime", "--notemp")
        assert done.returncode != 0
        assert "BitstreamError" in done.stdout + done.stderr and "raw.lmfc" in done.stdout + done.stderr
        assert not (project / target).exists()
    stream.write_bytes(kept)


def test_missing_model_is_an_error_with_a_fix(project, tmp_path):
    from lamofc import models
    from lamofc.errors import ConfigError

    with pytest.raises(ConfigError, match="snakemake --until prepare_model"):
        models.build({"family": "vit"}, tmp_path / "none", "block8")
