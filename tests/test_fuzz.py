"""A few hundred of the files that tests/fuzz/fuzz_bitstreams.py makes by the hundred thousand."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from lamofc import codecs

SCRIPT = Path(__file__).parent / "fuzz/fuzz_bitstreams.py"
ROOT = SCRIPT.parents[2]
ARMS = yaml.safe_load((ROOT / "config/codecs.yaml").read_text())


def fuzz(log, *options):
    command = [sys.executable, str(SCRIPT), "--log", str(log), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_mutated_files_are_refused_or_decode_the_same(tmp_path):
    found = fuzz(tmp_path, "--codec", "all", "--files", "25")
    logs = "".join(p.read_text() for p in tmp_path.glob("*.log"))
    assert found.returncode == 0, found.stdout + found.stderr + logs
    states = [json.loads(p.read_text()) for p in tmp_path.glob("*.json")]
    assert {s["codec"] for s in states} == {n for n, a in ARMS.items() if "transfer" not in a and not codecs.missing(a)}
    counts = {k: sum(s["counts"][k] for s in states) for k in states[0]["counts"]}
    assert sum(counts.values()) == 25 * len(states)
    assert counts["framing"] < 0.25 * sum(counts.values()), "most files reach their codec"
    assert counts["checksum"] > 0.1 * sum(counts.values()), "many are decoded to their end"


def test_a_run_goes_on_where_it_was(tmp_path):
    for files in ("10", "30"):
        assert fuzz(tmp_path, "--codec", "identity", "--files", files).returncode == 0
    state = json.loads((tmp_path / "identity.json").read_text())
    assert state["next"] == sum(state["counts"].values()) == 30
    assert (tmp_path / "fuzz.tsv").read_text().count("\n") == 2


@pytest.fixture
def trial(monkeypatch, tmp_path):
    """A trial of uq-ec, and what its decoder is made to do to every packet's tensors."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from trial import Trial

    monkeypatch.setattr(codecs, "coder", codecs.coder)  # the trial replaces it
    made = Trial({"codec": "uq-ec", "ladder": [0.4]}, ROOT, tmp_path / "a.lmfc")
    kept = type(made.seeds[0].coder).decode

    def spoil(change):
        monkeypatch.setattr(type(made.seeds[0].coder), "decode", lambda *a: change(kept(*a)))
        return made.attempt(made.seeds[0], made.seeds[0].file)[0]

    return spoil


def test_what_a_decoder_may_not_do_is_found(trial):
    def other_values(sample):
        return {k: v + v.dtype.type(1) for k, v in sample.items()}

    def fail(sample):
        raise SystemError("as a binding does")

    def swallow(sample):
        raise MemoryError

    assert trial(lambda sample: sample) == "equal"
    assert trial(other_values) == "checksum"
    assert trial(lambda sample: {k: v[..., None] for k, v in sample.items()}) == "misshapen"
    assert trial(lambda sample: {k: v.astype(np.float64) for k, v in sample.items()}) == "misshapen"
    assert trial(fail) == "exception"
    assert trial(swallow) == "memory"


def test_time_in_which_the_watcher_stood_still_is_no_hang(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import campaign

    clock = [0.0]
    monkeypatch.setattr(campaign.time, "monotonic", lambda: clock[0])
    patience = campaign._Patience()
    clock[0] += 10_000  # a suspended machine
    assert not patience.ends(1.0)
    looks = 0
    while not patience.ends(1.0):
        clock[0] += campaign._LOOK
        looks += 1
    assert looks * campaign._LOOK == pytest.approx(10 * campaign.SECONDS, abs=3)
    assert not patience.ends(2.0), "the next file has its own time"
