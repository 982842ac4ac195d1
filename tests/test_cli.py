"""The command line: stores and files to bitstreams and back, the report of where the bits went, one-line errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import feature_samples
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lamofc.__main__ import main
from lamofc.dtypes import to_bits
from lamofc.interfaces import TensorSpec
from lamofc.store import FeatureReader, write_all

ROOT = Path(__file__).parents[1]
SPECS = [
    TensorSpec("output", "tokens", "float32", (None, 24)),
    TensorSpec("layer0.key", "key", "bfloat16", (2, None, 8), layer=0),
    TensorSpec("layer0.value", "value", "bfloat16", (2, None, 8), layer=0),
]


@pytest.fixture
def store(tmp_path):
    samples = [(f"s{n}", feature_samples.gaussian(SPECS, n, n)) for n in (7, 0, 20)]
    write_all(tmp_path / "in.zarr", SPECS, samples)
    return tmp_path / "in.zarr"


def run(*arguments):
    return main([str(a) for a in arguments])


def same(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and np.array_equal(to_bits(a[k]), to_bits(b[k])) for k in a
    )


def test_store_to_store(store, tmp_path, capsys):
    assert run("encode", store, tmp_path / "a.lmfc", "--codec", "identity") == 0
    assert run("decode", tmp_path / "a.lmfc", tmp_path / "out.zarr") == 0
    pairs = zip(FeatureReader(store), FeatureReader(tmp_path / "out.zarr"), strict=True)
    assert all(same(a, b) for a, b in pairs)
    assert "bits per feature point" in capsys.readouterr().out


def test_store_to_safetensors(store, tmp_path):
    run("encode", store, tmp_path / "a.lmfc", "--codec", "identity")
    assert run("decode", tmp_path / "a.lmfc", tmp_path / "all.safetensors") == 0
    assert run("decode", tmp_path / "a.lmfc", tmp_path / "one.safetensors", "--sample", "2") == 0
    wanted = list(FeatureReader(store))
    assert same(load_file(tmp_path / "one.safetensors"), wanted[2])
    assert same(
        load_file(tmp_path / "all.safetensors"), {f"{i}/{k}": v for i, s in enumerate(wanted) for k, v in s.items()}
    )


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_named_arrays_as_one_sample(tmp_path, suffix):
    rng = np.random.default_rng(0)
    sample = {
        "hidden": rng.standard_normal((9, 16)).astype(np.float32),
        "layer3.key": rng.standard_normal((2, 9, 4)).astype(np.float16),
        "z": rng.standard_normal((3, 5, 5)).astype(np.float32),
        "pool": rng.standard_normal(12).astype(np.float32),
        "state": rng.standard_normal((8, 4)).astype(np.float32),
    }
    path = tmp_path / f"in{suffix}"
    if suffix == ".npz":
        np.savez(path, **sample)
    else:
        sample["hidden"] = sample["hidden"].astype(ml_dtypes.bfloat16)
        save_file(sample, path)
    assert run("encode", path, tmp_path / "a.lmfc", "--codec", "identity", "--kind", "state=ssm") == 0
    assert run("decode", tmp_path / "a.lmfc", tmp_path / "out.safetensors") == 0
    assert same(load_file(tmp_path / "out.safetensors"), sample)
    assert run("decode", tmp_path / "a.lmfc", tmp_path / "out.zarr") == 0
    kinds = {s.name: s.kind for s in FeatureReader(tmp_path / "out.zarr").specs}
    assert kinds == {"hidden": "tokens", "layer3.key": "key", "z": "latent", "pool": "pooled", "state": "ssm"}


def test_fitted_codec_at_points_of_the_ladder_and_between(store, tmp_path, capsys):
    assert run("fit", store, tmp_path / "assets.safetensors", "--codec", "uq-ec") == 0
    sizes = []
    for point in ("0.1", "0.3"):
        out = tmp_path / f"{point}.lmfc"
        more = ("--assets", tmp_path / "assets.safetensors")
        assert run("encode", store, out, "--codec", "uq-ec", "--point", point, *more) == 0
        assert run("decode", out, tmp_path / f"{point}.zarr", *more) == 0
        sizes.append(out.stat().st_size)
    assert sizes[1] < sizes[0]
    assert run("decode", out, tmp_path / "x.zarr") == 2
    assert "needs asset" in capsys.readouterr().err


def test_targets_are_met_and_named_alike_every_time(store, tmp_path, capsys):
    held = ("--assets", tmp_path / "a.safetensors")
    assert run("fit", store, tmp_path / "a.safetensors", "--codec", "tailor") == 0
    found = []
    for number, target in enumerate((("--target-bpfp", 3), ("--target-bpfp", 3), ("--target-rel-mse", 0.01))):
        out = tmp_path / f"{number}.lmfc"
        assert run("encode", store, out, "--codec", "tailor", *held, *target) == 0
        found.append((out.read_bytes(), capsys.readouterr().out.split("\n")[-3]))
    assert found[0] == found[1] != found[2] and found[0][1].startswith("step ")
    assert run("encode", store, tmp_path / "x.lmfc", "--codec", "tailor", *held, "--target-bpfp", "-1") == 2
    assert run("encode", store, tmp_path / "x.lmfc", "--codec", "cast", "--target-bpfp", "3") == 2
    assert "no continuous number" in capsys.readouterr().err


def test_inspect_adds_up(store, tmp_path, capsys):
    run("encode", store, tmp_path / "a.lmfc", "--codec", "identity")
    capsys.readouterr()
    assert run("inspect", tmp_path / "a.lmfc", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["codec"]["codec"] == "identity" and found["samples"] == 3
    assert (
        found["tensors"]["output"]["payload"] == 27 * 24 * 4 and found["tensors"]["layer0.key"]["elements"] == 27 * 16
    )
    parts = [t["payload"] + sum(t["side"].values()) for t in found["tensors"].values()]
    assert sum(parts) + sum(found["framing"].values()) == found["bytes"] == (tmp_path / "a.lmfc").stat().st_size
    assert run("inspect", tmp_path / "a.lmfc") == 0
    printed = capsys.readouterr().out
    assert "layer0.value" in printed and "framing" in printed and "side information" in printed


def test_inspect_tells_side_information_apart():
    from lamofc.cli import report

    tensors = {"k": {"payload": 0, "side": {}, "elements": 0}, report.SHARED: {"payload": 0, "side": {}, "elements": 0}}
    for section, size in (("k", 5), ("k/scales", 2), ("k/scales", 1), ("joint", 7), ("joint/sizes", 4)):
        report._count(tensors, section, size)
    assert tensors["k"] == {"payload": 5, "side": {"scales": 3}, "elements": 0}
    assert tensors[report.SHARED]["side"] == {"joint": 7, "joint/sizes": 4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("encode", "none.zarr", "a.lmfc", "--codec", "identity"), "none.zarr: no such file or store"),
        (("encode", "{store}", "a.lmfc", "--codec", "identities"), "no row 'identities'; it has identity"),
        (("encode", "{store}", "a.lmfc", "--codec", "uq-ec"), "choose a --point, such as"),
        (("encode", "{store}", "a.lmfc", "--codec", "uq-ec", "--point", "0.1"), "fit the codec"),
        (("encode", "{store}", "a.lmfc", "--codec", "uq-ec", "--point", "-4"), "-4"),
        (("encode", "{store}", "a.lmfc", "--codec", "identity", "--config", "none.yaml"), "none.yaml: no such file"),
        (("encode", "{text}", "a.lmfc", "--codec", "identity"), "neither a Zarr feature store nor"),
        (("encode", "{integers}", "a.lmfc", "--codec", "identity"), "dtype int64 is none of"),
        (("encode", "{nan}", "a.lmfc", "--codec", "identity"), "tensor a: 1 of 4 values are NaN or infinite"),
        (("encode", "{nan}", "a.lmfc", "--codec", "identity", "--kind", "b=key"), "--kind names b"),
        (("decode", "none.lmfc", "a.zarr"), "none.lmfc"),
        (("decode", "{text}", "a.zarr"), "not an LMFC bitstream"),
        (("inspect", "{text}"), "not an LMFC bitstream"),
    ],
)
def test_errors_are_one_line(store, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("text that is long enough to be a header of a file")
    np.savez("i.npz", a=np.arange(4))
    np.savez("n.npz", a=np.array([1, 2, np.nan, 0], np.float32))
    files = {"store": store, "text": "a.txt", "integers": "i.npz", "nan": "n.npz"}
    assert run(*(a.format(**files) for a in arguments)) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and "Traceback" not in captured.err
    assert not list(tmp_path.glob("*.lmfc")) and not list(tmp_path.glob(".*partial"))


def test_as_a_module(store, tmp_path):
    run("encode", store, tmp_path / "a.lmfc", "--codec", "identity")
    found = subprocess.run(
        [sys.executable, "-m", "lamofc", "inspect", str(tmp_path / "a.lmfc")],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "identity" in found.stdout
    bad = subprocess.run(
        [sys.executable, "-m", "lamofc", "decode", str(store), str(tmp_path / "b.zarr")],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert bad.returncode == 2 and bad.stderr.startswith("lamofc decode: ")
