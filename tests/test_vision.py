"""Vision tails at every kind of split: cut without a trace, blind to the head, and a new model or set is rows alone."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import answers
import numpy as np
import pytest
import torch
import transformers
import yaml
from PIL import Image
from safetensors.torch import save_file

from lamofc import datasets, models, tasks
from lamofc.config import Plan
from lamofc.errors import ConfigError
from lamofc.features import check
from lamofc.jsonio import read_lines, write_lines
from lamofc.models.mask_decoder import MaskDecoder
from lamofc.models.readouts import Depth, Probe
from lamofc.stages.extract import extract
from lamofc.stages.fit_depth import fit_depth
from lamofc.stages.fit_readout import fit_readout
from lamofc.store import FeatureReader
from lamofc.tasks import measures

ROOT = Path(__file__).parents[1]
SIZES = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 56, "patch_size": 14}
CLASSES = {"dinov2": "Dinov2", "dinov2_with_registers": "Dinov2WithRegisters", "vit": "ViT"}
SPLITS = [("block1", "probe"), ("block3", "probe"), ("block0", "linear-mask"), ("blocks0-1-2-3", "linear-mask"),
          ("blocks0-1-2-3", "depth"), ("block1", "mask-decoder"), ("block3", "mask-decoder")]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random models of each family, the library's own classes; the first has a mask decoder beside it."""
    torch.manual_seed(0)
    found = {}
    for kind, name in CLASSES.items():
        found[kind] = tmp_path_factory.mktemp(kind)
        more = {"intermediate_size": 64} if kind == "vit" else {}
        config = getattr(transformers, f"{name}Config")(**SIZES, **more)
        getattr(transformers, f"{name}Model")(config).save_pretrained(found[kind])
        channels = (32, 8, 8, 4)
        (found[kind] / "decoder.json").write_text(json.dumps({"channels": channels}))
        save_file(MaskDecoder(channels).state_dict(), found[kind] / "decoder.safetensors")
    return found


def build(weights, split, readout, **options):
    """A model whose readout has random weights where a rule would have fitted them."""
    row = {"family": "vit", "options": {"image_size": 56, "batch": 3} | options}
    model = models.build(row, weights, split, readout)
    width = {"probe": 2 * 32, "linear-mask": 32}.get(readout)
    if width:
        rows = 5 if readout == "probe" else 1
        model.readout.load({"weight": torch.randn(rows, width * len(model.blocks)), "bias": torch.zeros(rows)})
    return model


def images(n):
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 255, (56, 56, 3), dtype=np.uint8) for _ in range(n)]
    return [{"image": p} for p in pixels], [{"size": [56, 56]}] * n


def same(a, b) -> bool:
    if isinstance(a, dict):
        return all(same(a[k], b[k]) for k in a)
    return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, list) else np.array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("split", "readout"), SPLITS)
@pytest.mark.parametrize("kind", CLASSES)
def test_tail_of_head_is_the_unsplit_model_bit_for_bit(kind, split, readout, dtype, weights):
    model = build(weights[kind], split, readout, dtype=dtype)
    inputs, side = images(5)
    features = model.head(inputs)
    for sample in features:
        check(sample, model.specs)
    assert same(model.tail(features, side), model.unsplit(inputs, side)), "batched"
    for k in range(2):
        alone = slice(k, k + 1)
        assert same(model.tail(features[alone], side[alone]), model.unsplit(inputs[alone], side[alone])), "one by one"


@pytest.mark.parametrize(("split", "readout"), SPLITS)
@pytest.mark.parametrize("kind", CLASSES)
def test_no_tail_reads_the_head(kind, split, readout, weights):
    model = build(weights[kind], split, readout)
    inputs, side = images(2)
    features = model.head(inputs)
    clean = model.tail(features, side)
    with torch.inference_mode():
        poisoned = [model.net.embeddings, *model.layers[: model.blocks[-1] + 1]]
        for parameter in itertools.chain(*(m.parameters() for m in poisoned)):
            parameter.fill_(float("nan"))
    assert np.isnan(next(iter(model.head(inputs)[0].values()))).any(), "the poison works"
    assert same(clean, model.tail(features, side))


def test_both_views_cross_and_both_are_read(weights):
    model = build(weights["dinov2"], "blocks0-2", "depth")
    inputs, side = images(2)
    features = model.head(inputs)
    assert [s.name for s in model.specs] == ["block0", "block2", "block0-mirror", "block2-mirror"]
    mirrored = model.head([{"image": i["image"][:, ::-1].copy()} for i in inputs])
    assert np.allclose(mirrored[0]["block2"], features[0]["block2-mirror"], atol=1e-5)
    clean = model.tail(features, side)
    for spec in model.specs:
        changed = [f | {spec.name: f[spec.name] * 2} for f in features]
        assert not same(clean, model.tail(changed, side)), f"{spec.name} is paid for and must be read"


def test_a_probes_class_token_weighs_as_much_as_all_patches():
    maps = torch.ones(2, 1 + 9, 4, requires_grad=True)
    Probe(4, 1).noticed([maps]).square().sum().backward()
    power = maps.grad.square().sum((0, 2))
    assert torch.allclose(power[0], 9**2 * power[1])  # lifted by 3 on the way there and on the way back
    noticed = Probe(4, 1).noticed([maps.detach()])
    assert noticed.shape == (2, 10 * 4)
    assert torch.isclose(noticed[:, :4].square().sum(), noticed[:, 4:].square().sum())


def test_an_image_and_its_mirror_image_have_mirrored_depth(weights):
    model = build(weights["dinov2"], "blocks0-2", "depth")
    inputs, side = images(2)
    flipped = [{"image": i["image"][:, ::-1].copy()} for i in inputs]
    for a, b in zip(model.unsplit(inputs, side), model.unsplit(flipped, side), strict=True):
        assert np.allclose(a, b[:, ::-1], rtol=1e-4)


@pytest.mark.parametrize(("split", "readout"), [s for s in SPLITS if s[0] != "block3"])
def test_gradients_of_the_answer(split, readout, weights):
    model = build(weights["dinov2"], split, readout)
    inputs, (side,) = images(1)
    measure = measures.likelihood if readout != "depth" else lambda metres: measures.values(metres.log())
    answers.check(model, measure, model.head(inputs)[0], side)


def test_registers_and_grid_are_told_to_the_codecs(weights):
    spec = build(weights["dinov2_with_registers"], "block1", "probe").specs[0]
    assert spec.shape == (1 + 4 + 16, 32) and spec.attributes == {"grid": [4, 4], "prefix": 5}


def test_other_networks_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(ConfigError, match="'resnet' is none of dinov2"):
        models.build({"family": "vit"}, tmp_path, "block1", "probe")


def test_a_depth_head_learns_what_its_maps_tell():
    rng = np.random.default_rng(0)
    depths = rng.uniform(1, 6, (12, 8, 8)).astype(np.float32)
    truths = depths.repeat(4, 1).repeat(4, 2)
    truths[:, :2] = 0  # not known
    tokens = np.concatenate([np.zeros((12, 1, 1)), np.log(depths).reshape(12, 64, 1)], 1)
    maps = torch.from_numpy(np.concatenate([tokens, rng.standard_normal((12, 65, 3))], 2).astype(np.float32))
    readout = Depth(4, 1)
    readout.load(fit_depth(readout, [([maps], list(truths))], steps=60))
    mirror = torch.cat([maps[:, :1], maps[:, 1:].unflatten(1, (8, 8)).flip(2).flatten(1, 2)], 1)
    with torch.inference_mode():
        found = np.stack(readout([maps, mirror], (32, 32)))
    known = truths > 0
    error = np.abs(np.log(found) - np.log(np.where(known, truths, 1)))[known].mean()
    spread = np.abs(np.log(truths[known]) - np.log(truths[known]).mean()).mean()
    assert error < 0.6 * spread


@pytest.fixture
def project(tmp_path, weights):
    """A copy of the configuration with a further ViT, a folder of red, green and blue images, a readout and a curve."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    rng = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green", "blue")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 60, (64, 80, 3), np.uint8)
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    rows = {
        "models.yaml": {"tiny-vit": {"title": "ViT", "licence": "-", "family": "vit", "kinds": ["tokens"],
                                     "packages": [], "convert": "hub_folder", "options": {"image_size": 56}}},
        "datasets.yaml": {"pictures": {"builder": "image_folder", "packages": [], "licence": "-", "seed": 1,
                                       "options": {"folder": str(tmp_path / "pictures"), "size": 56}}},
        "readouts.yaml": {"colours": {"kind": "probe", "model": "tiny-vit", "split": "block3", "datasets": ["pictures"],
                                      "task": "classification"}},
    }  # fmt: skip
    for name, row in rows.items():
        with open(tmp_path / "config" / name, "a") as file:
            file.write(yaml.safe_dump(row))
    cells = "colours CVU colours imagenet-val tiny-vit block1 pictures classification colours 12 6"
    with open(tmp_path / "config/scenarios.tsv", "a") as file:
        file.write("\t".join(cells.split()) + "\n")
    return tmp_path


def test_a_further_vit_and_a_folder_of_images_are_config_rows_alone(project, weights):
    plan = Plan(yaml.safe_load((ROOT / "config/config.yaml").read_text()) | {"curves": ["colours"]}, project)
    row, (name, readout) = plan.curves["colours"], ("colours", plan.readouts["colours"])
    model_row, data = plan.models[row["model"]], plan.datasets[row["dataset"]]
    dataset = datasets.build(data["builder"], {}, project / "data", data["options"], data["seed"])
    fit_readout(name, readout, model_row, weights["vit"], [dataset], project / "readout.safetensors")
    extract(row, model_row, weights["vit"], dataset, project / "readout.safetensors", project / "features")
    store, lines = FeatureReader(project / "features/test.zarr"), list(read_lines(project / "features/test.jsonl"))
    task = tasks.build(row["task"], dataset, weights["vit"])
    model = models.build(model_row, weights["vit"], row["split"], row["readout"], project / "readout.safetensors")
    outputs = model.tail(list(store), [line["side"] for line in lines])
    assert np.mean([task.outcome(o, x["truth"])["correct"] for o, x in zip(outputs, lines, strict=True)]) > 0.9
    assert all(same(o, x["output"]) for o, x in zip(outputs, lines, strict=True)), "stored features, stored outputs"


def test_a_set_with_fewer_classes_is_scored_over_those(tmp_path):
    items = [{"id": str(k), "part": p, "label": k, "image": "-"} for k in (0, 2) for p in ("calibration", "test")]
    write_lines(tmp_path / "items.jsonl", items)
    task = tasks.build("classification", tmp_path, tmp_path)
    output = {"label": 1, "logits": np.array([0.1, 9.0, 0.2], np.float32)}
    assert task.chance == 50 and task.outcome(output, 2) == {"correct": 1.0} and task.outcome(output, 0)["correct"] == 0
    other = {"label": 0, "logits": np.array([0.1, -9.0, 0.2], np.float32)}
    assert not task.flipped(output, other) and task.damage(output, other) == pytest.approx(0, abs=1e-9)
