"""Same configuration, same machine: the same bytes. Another arithmetic: a clear refusal, never other features."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import feature_samples
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lamofc.__main__ import main
from lamofc.quantisers import uniform
from lamofc.store import write_all

ROOT = Path(__file__).parents[1]
SPECS = [feature_samples.spec("tokens", "float32")]


def test_processes_threads_and_hash_seeds_do_not_show(tmp_path):
    """Stores, assets, bitstreams, decoded features, a figure and a table, made by two processes that differ."""
    running = []
    for number in (1, 2):
        threads = {f"{library}_NUM_THREADS": str(number) for library in ("OMP", "OPENBLAS", "MKL", "BLOSC")}
        environment = os.environ | threads | {
            "PYTHONHASHSEED": str(number), "PYTHONPATH": str(ROOT / "workflow/scripts")
        }  # fmt: skip
        (tmp_path / str(number)).mkdir()
        command = [sys.executable, ROOT / "tests/remake.py", tmp_path / str(number)]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    said = [process.communicate(timeout=300) for process in running]
    assert all(p.returncode == 0 for p in running), said
    first, second = (json.loads(out.decode().splitlines()[-1]) for out, _ in said)
    assert {k for k in first if first[k] != second.get(k)} == set() and first.keys() == second.keys()
    assert any(k.endswith(".lmfc") for k in first) and any("decoded" in k for k in first) and "f.pdf" in first


@pytest.fixture
def coded(tmp_path):
    """A store, the assets of uq-ec and a bitstream of it."""
    for part, seed in (("calibration", 0), ("test", 5)):
        samples = [(f"s{n}", feature_samples.gaussian(SPECS, n, seed + n)) for n in (20, 30)]
        write_all(tmp_path / f"{part}.zarr", SPECS, samples)
    paths = [tmp_path / n for n in ("calibration.zarr", "test.zarr", "a.safetensors", "a.lmfc")]
    calibration, test, assets, stream = map(str, paths)
    assert main(["fit", calibration, assets, "--codec", "uq-ec"]) == 0
    assert main(["encode", test, stream, "--codec", "uq-ec", "--point", "0.4", "--assets", assets]) == 0
    return paths


def test_another_rounding_is_refused_in_plain_words(coded, tmp_path, monkeypatch, capsys):
    """As a BLAS or a processor would that rounds the last bit of one value elsewhere."""
    honest = uniform.dequantise

    def off_by_one_ulp(*arguments):
        values = honest(*arguments)
        values.flat[7] = np.nextafter(values.flat[7], np.float32(np.inf))
        return values

    monkeypatch.setattr(uniform, "dequantise", off_by_one_ulp)
    _, _, assets, stream = coded
    assert main(["decode", str(stream), str(tmp_path / "out.zarr"), "--assets", str(assets)]) == 2
    said = capsys.readouterr().err
    assert "decodes to other values than its encoder's" in said and "numeric libraries of this machine" in said
    assert str(stream) in said and "docs/" in said
    assert not (tmp_path / "out.zarr").exists()


def test_another_asset_is_refused_by_its_hash(coded, tmp_path, capsys):
    _, _, assets, stream = coded
    arrays = load_file(assets)
    name = sorted(arrays)[0]
    arrays[name] = arrays[name].copy()
    arrays[name].view(np.uint8).flat[0] ^= 1
    save_file(arrays, tmp_path / "other.safetensors")
    assert (
        main(["decode", str(stream), str(tmp_path / "out.zarr"), "--assets", str(tmp_path / "other.safetensors")]) == 2
    )
    assert "needs asset" in capsys.readouterr().err and not (tmp_path / "out.zarr").exists()
