"""A few hundred of the files that tests/fuzz/fuzz_bitstreams.py makes by the hundred thousand."""

import csv
import dataclasses
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import feature_samples
import numpy as np
import pytest
import yaml

from lamofc import codecs
from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.errors import LamofcError

SCRIPT = Path(__file__).parent / "fuzz/fuzz_bitstreams.py"
ROOT = SCRIPT.parents[2]
ARMS = yaml.safe_load((ROOT / "config/codecs.yaml").read_text())
NUMERIC = [n for n, a in ARMS.items() if not ("transfer" in a or codecs.missing(a) or feature_samples.network_of(a))]


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


def test_the_table_that_the_docs_cite_holds_no_finding():
    """It once held eight, under a text that said there were none."""
    with open(ROOT / "docs/results/fuzz.tsv", newline="") as file:
        rows = {row["codec"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert {name for name, row in rows.items() if int(row["files"]) < 100_000 or int(row["findings"])} == set()
    assert set(rows) <= set(ARMS)


def test_a_run_goes_on_where_it_was(tmp_path):
    for files in ("10", "30"):
        assert fuzz(tmp_path, "--codec", "identity", "--files", files).returncode == 0
    state = json.loads((tmp_path / "identity.json").read_text())
    assert state["next"] == sum(state["counts"].values()) == 30
    assert (tmp_path / "fuzz.tsv").read_text().count("\n") == 2


@pytest.mark.parametrize("length", [7, 63])
@pytest.mark.parametrize("arm", NUMERIC)
def test_no_number_of_a_header_sizes_memory(monkeypatch, tmp_path, arm, length):
    """Each parameter of a codec and its fallback, in streams whose packets are as they were."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import mutations

    specs = feature_samples.mixed(frozenset(codecs.load(ARMS[arm]["codec"]).kinds))
    codec = codecs.at_point(ARMS[arm], ARMS[arm]["ladder"][0])
    samples = [feature_samples.gaussian(specs, n, n) for n in (31, 40, length)]
    assets = codecs.fit(codec, specs, samples) if codecs.needs_fit(ARMS[arm]) else {}
    with BitstreamWriter(path := tmp_path / "a.lmfc", codec, specs, assets, {}) as writer:
        writer.add(samples[-1])
    parts = mutations.parts(path.read_bytes())
    header = json.loads(parts.header)
    defaults = {f.name: f.default for f in dataclasses.fields(codecs.load(ARMS[arm]["codec"]))}
    header["codec"]["parameters"] = defaults | header["codec"]["parameters"]  # what says nothing may be forged as well
    numbers = [(h, k) for h, k in mutations.places_of(header["codec"]) if type(h[k]) in (int, float, bool)]
    for holder, key in numbers:
        kept = holder[key]
        for holder[key] in (2**24, 2**31 - 1, 2**32, 2**40, 2**62):
            path.write_bytes(mutations.with_header(parts, json.dumps(header).encode()))
            assert _peak(path, assets) < 32, f"{arm}: {key} {holder[key]} took memory"
        holder[key] = kept


def _peak(path, assets):
    """MB that decoding a file took at most, refused or not."""
    tracemalloc.start()
    try:
        BitstreamReader(path, assets).decode(0)
    except LamofcError as error:
        assert not isinstance(error.__cause__, MemoryError), error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak / 2**20


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
