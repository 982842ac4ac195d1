"""typeseg's tagger: read from its npz, cut without a trace, and what crosses is all that its tail reads."""

from __future__ import annotations

import json
from pathlib import Path

import answers
import numpy as np
import pytest
import torch
from torch.nn import functional

from lamofc import models, tasks
from lamofc.convert import ConvertError, convert
from lamofc.features import check
from lamofc.models.typeseg_net import Sizes
from lamofc.tasks import measures

RESOURCES = Path(__file__).parents[1] / "resources"
SIZES = Sizes(width=12, state=3, rank=2, kernel=4, blocks=3, labels=5)
MODULES = {"Dense_0": (12, 24), "Dense_1": (12, 8), "Dense_2": (2, 12), "Dense_3": (12, 12)}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package with random weights under the names and in the layout of the real one."""
    folder, rng = tmp_path_factory.mktemp("package"), np.random.default_rng(0)
    arrays = {"Embed_0__embedding": (130, 12), "Dense_0__kernel": (12, 5), "Dense_0__bias": (5,),
              "LayerNorm_0__scale": (12,), "LayerNorm_0__bias": (12,)}  # fmt: skip
    for i in range(3):
        own = {"A_log": (12, 3), "D": (12,), "Conv_0__kernel": (4, 1, 12), "Conv_0__bias": (12,),
               "LayerNorm_0__scale": (12,), "LayerNorm_0__bias": (12,)}  # fmt: skip
        own |= {f"{k}__kernel": shape for k, shape in MODULES.items()}
        own |= {f"{k}__bias": shape[1:] for k, shape in MODULES.items()}
        arrays |= {f"CheckpointMambaBlock1D_{i}__{k}": shape for k, shape in own.items()}
    np.savez(folder / "mamba_al.npz", **{k: rng.normal(0, 0.5, s).astype(np.float32) for k, s in arrays.items()})
    mamba = {"n_layers": 3, "d_state": 3, "dt_rank": 2, "d_conv": 4}
    (folder / "manifest.json").write_text(json.dumps({"labels": ["c", "go", "java", "php", "python"], "mamba": mamba}))
    return folder


@pytest.fixture(scope="module")
def weights(package, tmp_path_factory):
    return convert("typeseg_npz", {"p": package}, tmp_path_factory.mktemp("model") / "typeseg")


def texts(*lengths):
    rng = np.random.default_rng(1)
    return [{"bytes": rng.integers(0, 256, n).astype(np.uint8)} for n in lengths]


def test_it_computes_what_its_package_says(package, weights):
    """Against the recurrence written out, byte by byte, from the npz's own names."""
    w = dict(np.load(package / "mamba_al.npz"))
    model = models.build({"family": "typeseg", "options": {}}, weights, "block1")
    (inputs,) = texts(9)
    (output,) = model.unsplit([inputs], [{}])
    x = w["Embed_0__embedding"][np.where(inputs["bytes"] < 128, inputs["bytes"], 128)]
    for i in range(3):
        x = written_out(x, {k.removeprefix(f"CheckpointMambaBlock1D_{i}__"): v for k, v in w.items()})
    logits = norm(x, w["LayerNorm_0__scale"], w["LayerNorm_0__bias"]) @ w["Dense_0__kernel"] + w["Dense_0__bias"]
    wanted = functional.log_softmax(torch.from_numpy(logits), -1).mean(0).numpy()
    np.testing.assert_allclose(output["logits"], wanted, rtol=1e-3, atol=1e-4)


def norm(x, scale, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * scale + bias


def written_out(x, w):
    silu = lambda v: v / (1 + np.exp(-v))  # noqa: E731
    h = norm(x, w["LayerNorm_0__scale"], w["LayerNorm_0__bias"]) @ w["Dense_0__kernel"] + w["Dense_0__bias"]
    u, gate = h[:, :12], h[:, 12:]
    padded = np.pad(u, ((1, 2), (0, 0)))
    u = silu(sum(padded[k : k + len(u)] * w["Conv_0__kernel"][k, 0] for k in range(4)) + w["Conv_0__bias"])
    dbc = u @ w["Dense_1__kernel"] + w["Dense_1__bias"]
    dt = np.log1p(np.exp(dbc[:, :2] @ w["Dense_2__kernel"] + w["Dense_2__bias"])) + 1e-4
    y = np.zeros_like(u)
    for order in (range(len(u)), reversed(range(len(u)))):
        state = np.zeros((12, 3))
        for t in order:
            state = np.exp(-dt[t, :, None] * np.exp(w["A_log"])) * state + (dt[t] * u[t])[:, None] * dbc[t, 2:5]
            y[t] += state @ dbc[t, 5:] + u[t] * w["D"]
    return x + (y * silu(gate)) @ w["Dense_3__kernel"] + w["Dense_3__bias"]


@pytest.mark.parametrize("split", ["block0", "block1"])
def test_the_cut_leaves_no_trace_and_the_tail_reads_no_head(weights, split):
    model = models.build({"family": "typeseg", "options": {"batch": 2}}, weights, split)
    inputs = texts(20, 31, 20, 20)
    features, side = model.head(inputs), [{}] * 4
    for sample in features:
        check(sample, model.specs)
    whole = model.unsplit(inputs, side)
    with torch.no_grad():
        for part in (model.net.embed, *model.net.blocks[: model.cut + 1]):
            for parameter in part.parameters():
                parameter.fill_(float("nan"))
    for a, b in zip(model.tail(features, side), whole, strict=True):
        assert a["label"] == b["label"] and np.array_equal(a["logits"], b["logits"])


def test_foreign_arrays_are_refused(package, tmp_path):
    (tmp_path / "p").mkdir()
    arrays = dict(np.load(package / "mamba_al.npz"))
    np.savez(tmp_path / "p/mamba_al.npz", Extra_0__kernel=np.ones(3, np.float32), **arrays)
    (tmp_path / "p/manifest.json").write_text((package / "manifest.json").read_text())
    with pytest.raises(ConvertError, match="Extra_0__kernel"):
        convert("typeseg_npz", {"p": tmp_path / "p"}, tmp_path / "out")
    np.savez(tmp_path / "p/mamba_al.npz", head=np.array([{}], object))
    with pytest.raises(ConvertError, match="plain arrays"):
        convert("typeseg_npz", {"p": tmp_path / "p"}, tmp_path / "out")


def test_the_answer_is_the_best_of_the_types_of_the_set(weights, tmp_path):
    rows = [{"id": p + t, "part": p, "type": t, "text": "x"} for p in ("calibration", "test") for t in ("go", "php")]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    task = tasks.build("content_type", tmp_path, weights)
    (first, *_) = task.examples("test")
    logits = np.log([0.5, 0.1, 0.2, 0.15, 0.05])
    assert task.chance == 50 and first.truth == 1 and first.inputs["bytes"].tolist() == [ord("x")]
    assert task.outcome({"label": 0, "logits": logits}, 3) == {"correct": 1.0}


@pytest.mark.resources
def test_real_texts_are_told_apart():
    weights, dataset = RESOURCES / "models/typeseg", RESOURCES / "data/typed-text"
    if not (weights.is_dir() and dataset.is_dir()):
        pytest.skip(f"{weights} or {dataset} is not there: run `snakemake fetch --cores 2`")
    model = models.build({"family": "typeseg", "options": {}}, weights, "block2")
    task = tasks.build("content_type", dataset, weights)
    examples = list(task.examples("calibration", 18))
    outputs = model.tail(model.head([e.inputs for e in examples]), [e.side for e in examples])
    correct = [task.outcome(o, e.truth)["correct"] for o, e in zip(outputs, examples, strict=True)]
    assert np.mean(correct) > 0.6


def test_gradients_of_the_answer(weights):
    model = models.build({"family": "typeseg", "options": {}}, weights, "block0")
    answers.check(model, measures.likelihood, model.head(texts(11))[0], {})
