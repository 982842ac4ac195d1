"""Published feature files: every layout comes through bit for bit; what is hostile or damaged is refused."""

from __future__ import annotations

import csv
import io
import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
import zstandard

from lamofc.__main__ import main
from lamofc.config import Plan
from lamofc.dtypes import to_bits
from lamofc.errors import ConfigError, FeatureError
from lamofc.stages import imported
from lamofc.store import FeatureReader

torch = pytest.importorskip("torch")
from lamofc import hosted  # noqa: E402
from lamofc.hosted import archive, schemas  # noqa: E402
from lamofc.models.torch_arrays import to_numpy  # noqa: E402

ROOT = Path(__file__).parents[1]


def layout(schema: str, length: int, seed: int = 0):
    """A file's contents as the authors lay them out, in small; -> what to save, and tensors by our names."""
    torch.manual_seed(seed)
    r = torch.randn
    if schema == "transformer":
        held = {
            "output": r(1, length, 12).bfloat16(),
            "key": [r(1, 2, length, 6).bfloat16() for _ in range(3)],
            "value": [r(1, 2, length, 6).bfloat16() for _ in range(3)],
        }
        names = {f"layer{i}.{k}": held[k][i][0] for i in range(3) for k in ("key", "value")}
        return held, names | {"output": held["output"][0]}
    if schema == "state-space":
        held = {
            "output": r(1, length, 12),
            "ssm_state": [r(1, 16, 4).half() for _ in range(3)],
            "conv_state": [r(1, 16, 4).half() for _ in range(3)],
        }
        names = {f"layer{i}.ssm": held["ssm_state"][i][0] for i in range(3)}
        names |= {f"layer{i}.conv": held["conv_state"][i][0] for i in range(3)}
        return held, names | {"output": held["output"][0]}
    if schema == "vision":
        held = [r(2, length, 12) for _ in range(4)]
        return held, {f"block{i}": t.reshape(-1, 12) for i, t in enumerate(held)}
    held = {
        "clip_l": {"embeds": r(1, 7, 12).half(), "pooled": r(1, 12).half()},
        "t5": {"embeds": r(1, 7, 20).half()},
        "moments": r(1, 8, 5, 5).half(),
    }
    names = {f"{a}.{b}": t[0] for a in ("clip_l", "t5") for b, t in held[a].items()}
    return held, names | {"moments": held["moments"][0]}


def save(path: Path, held, compressed: bool = True) -> Path:
    buffer = io.BytesIO()
    torch.save(held, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zstandard.compress(buffer.getvalue()) if compressed else buffer.getvalue())
    return path


def published(folder: Path, schema: str, count: int = 3) -> Path:
    for i in range(count):
        save(folder / f"s{i}.pt.zst", layout(schema, 5 + i, i)[0])
    return folder


@pytest.mark.parametrize("schema", schemas.READERS)
def test_every_layout_comes_through(tmp_path, schema):
    files = hosted.files_of(published(tmp_path / "in", schema))
    assert hosted.write_store(files, tmp_path / "out.zarr") == 3
    reader = FeatureReader(tmp_path / "out.zarr")
    assert reader.ids == ["s0", "s1", "s2"]
    for i, sample in enumerate(reader):
        wanted = layout(schema, 5 + i, i)[1]
        assert set(sample) == set(wanted)
        for name, tensor in wanted.items():
            assert np.array_equal(to_bits(sample[name]), to_bits(to_numpy(tensor))), name


def test_kinds_and_rope(tmp_path):
    files = hosted.files_of(published(tmp_path / "in", "transformer"))
    hosted.write_store(files, tmp_path / "out.zarr", "transformer", rope_theta=1e6)
    specs = {s.name: s for s in FeatureReader(tmp_path / "out.zarr").specs}
    assert specs["layer2.key"].kind == "key" and specs["layer2.key"].layer == 2
    assert specs["layer2.key"].shape == (2, None, 6) and specs["layer2.key"].attributes == {"rope_theta": 1e6}
    assert specs["output"].kind == "tokens" and specs["output"].dtype == "bfloat16"


def test_command_line_through_a_codec(tmp_path, capsys):
    published(tmp_path / "in", "state-space")
    steps = [
        ["import", "in", "features.zarr"],
        ["encode", "features.zarr", "a.lmfc", "--codec", "uq-ec-stream", "--point", "0.05"],
        ["decode", "a.lmfc", "back.zarr"],
    ]
    for step in steps:
        assert main([str(tmp_path / w) if ("." in w and w[0].isalpha()) or w == "in" else w for w in step]) == 0
    pairs = zip(FeatureReader(tmp_path / "features.zarr"), FeatureReader(tmp_path / "back.zarr"), strict=True)
    for before, after in pairs:
        x, y = before["output"].astype(np.float64), after["output"].astype(np.float64)
        assert ((x - y) ** 2).mean() < 1e-2 * (x**2).mean()
    assert main(["import", str(tmp_path / "in"), str(tmp_path / "features.zarr")]) == 2
    assert "exists already" in capsys.readouterr().err


class Evil:
    def __reduce__(self):
        return os.system, ("touch HACKED",)


def test_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    held = layout("vision", 4)[0] + [Evil()]
    for compressed in (True, False):
        path = save(tmp_path / "evil.pt", held, compressed)
        with pytest.raises(FeatureError, match=r"evil\.pt: refused, it holds more than tensors"):
            archive.load(path)
    raw = tmp_path / "raw.pt"
    raw.write_bytes(zstandard.compress(pickle.dumps(Evil())))
    with pytest.raises(FeatureError, match="not a torch file"):
        archive.load(raw)
    assert not (tmp_path / "HACKED").exists()


def test_bombs_are_refused_before_memory_is_taken(tmp_path):
    import resource

    bomb = tmp_path / "bomb.pt.zst"
    with open(bomb, "wb") as file, zstandard.ZstdCompressor().stream_writer(file) as out:
        for _ in range(1 << 10):
            out.write(bytes(1 << 20))
    view = save(tmp_path / "view.pt.zst", [torch.zeros(1).expand(1 << 40)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FeatureError, match="more than 10000000 bytes"):
        archive.load(bomb, 10_000_000)
    with pytest.raises(FeatureError, match="claim more bytes"):
        archive.load(view)
    deflated = tmp_path / "deflated.pt"
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", bytes(1 << 20))
    with pytest.raises(FeatureError, match="claims more than it holds"):
        archive.load(deflated)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_damage_is_named(tmp_path):
    path = save(tmp_path / "s.pt.zst", layout("vision", 40)[0])
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in (0, 3, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(FeatureError, match=r"s\.pt\.zst"):
            archive.load(path)
    plain = zstandard.decompress(whole)
    for at in rng.integers(0, len(plain), 60).tolist():
        path.write_bytes(plain[:at] + bytes([plain[at] ^ 1 << int(rng.integers(8))]) + plain[at + 1 :])
        try:
            schemas.sample_of(archive.load(path), "auto", path)
        except FeatureError as error:
            assert "s.pt.zst" in str(error)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"output": torch.ones(3, 4), "key": [torch.ones(1, 3, 4)]}, "no layout known"),
        ({"output": torch.ones(3, 4), "key": [torch.ones(1, 3, 4)] * 2, "value": [torch.ones(1, 3, 4)]}, "per layer"),
        ({"output": torch.ones(3, 4), "key": [1.0], "value": [torch.ones(1, 3, 4)]}, "holds a float"),
        ({"output": torch.ones(2, 3, 4), "key": [torch.ones(1, 3, 4)], "value": [torch.ones(1, 3, 4)]}, "2 dimensions"),
        ([torch.ones(3, 4, dtype=torch.int64)], "dtype int64"),
        ([torch.ones(3)], "dimensions"),
        ([], "list of tensors"),
        ({}, "no layout"),
        ("text", "no layout"),
        ({"clip/../x": torch.ones(2, 2)}, "tensor name"),
    ],
)
def test_other_layouts_are_refused(tmp_path, held, message):
    path = save(tmp_path / "s.pt.zst", held)
    with pytest.raises(FeatureError, match=message) as caught:
        schemas.sample_of(archive.load(path), "auto", path)
    assert "s.pt.zst" in str(caught.value)


def test_files_must_agree_and_be_finite(tmp_path):
    first = save(tmp_path / "a.pt.zst", [torch.ones(3, 4)])
    with pytest.raises(FeatureError, match=r"b: holds block0 float32 .*unlike a\.pt\.zst"):
        hosted.write_store([first, save(tmp_path / "b.pt.zst", [torch.ones(3, 5)])], tmp_path / "o.zarr")
    with pytest.raises(FeatureError, match="sample c, tensor block0: 1 of"):
        hosted.write_store([save(tmp_path / "c.pt.zst", [torch.tensor([[float("nan")]])])], tmp_path / "p.zarr")
    with pytest.raises(FeatureError, match="no feature files"):
        hosted.files_of(tmp_path / "none")


def test_calibration_and_test_never_share_a_file(tmp_path):
    row = {"curve": "c", "n": 2, "n_calibration": 1}
    published(tmp_path / "flat", "vision", 3)
    imported.import_features(row, {"options": {"schema": "vision"}}, tmp_path / "flat", tmp_path / "out")
    parts = [FeatureReader(tmp_path / f"out/{p}.zarr").ids for p in ("test", "calibration")]
    assert parts == [["s0", "s1"], ["s2"]]
    with pytest.raises(ConfigError, match="1 files left for part calibration where row c asks for 2"):
        imported.import_features(row | {"n_calibration": 2}, {}, tmp_path / "flat", tmp_path / "again")
    assert not list(tmp_path.glob("*again*"))


def test_a_curve_of_published_features_runs_to_its_scores(tmp_path):
    """The rules, from files to scores.tsv, without a model."""
    sys.path.insert(0, str(ROOT / "tests/faults"))
    import project

    place = project.make(tmp_path / "project", arms=("identity", "uq-ec"))
    for part, count in (("test", 3), ("calibration", 2)):
        published(place / "resources/features/arc" / part, "transformer", count)
    models = yaml.safe_load((place / "config/models.yaml").read_text())
    models["theirs"] = models["toy"] | {"family": "hosted", "options": {"schema": "transformer", "rope_theta": 1e6}}
    (place / "config/models.yaml").write_text(yaml.safe_dump(models))
    with open(place / "config/scenarios.tsv", newline="") as file:
        header = next(csv.reader(file, delimiter="\t"))
    cells = {"curve": "arc.theirs.four", "category": "CLU", "scenario": "arc", "stands_for": "arc", "model": "theirs",
             "split": "four", "dataset": "arc", "task": "fidelity", "n": "3", "n_calibration": "2"}  # fmt: skip
    rows = ["\t".join(header), "\t".join(cells.get(name, "-") for name in header)]
    (place / "config/scenarios.tsv").write_text("\n".join(rows) + "\n")
    code, said = project.run(place, wanted=("scores.tsv", "bits.tsv", "figures/rate_score.svg"))
    assert code == 0, said
    import pandas as pd

    table = pd.read_csv(place / "results/toy/scores.tsv", sep="\t")
    exact = table[table.codec == "identity"].iloc[0]
    assert exact.score == 100 and exact.flips == 0 and exact.bpfp == pytest.approx(16, rel=0.5)
    lossy = table[table.codec == "uq-ec"]
    assert (lossy.score < 100).all() and lossy.bytes.is_monotonic_decreasing and lossy.score.is_monotonic_decreasing


def test_shipped_overlay_makes_a_plan():
    default = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    plan = Plan(default | yaml.safe_load((ROOT / "config/hosted.yaml").read_text()), ROOT)
    assert plan.pairs and all(plan.models[r["model"]]["family"] == "hosted" for r in plan.curves.values())
