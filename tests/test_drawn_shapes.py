"""A small text-to-image model: trained by rule in phases that go on, cut without a trace, judged on what was asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from lamofc import png
from lamofc.datasets import easy_vqa
from lamofc.datasets.folder import DatasetFolder

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

ROOT = Path(__file__).parents[1]
ROW = yaml.safe_load((ROOT / "config/trainings.yaml").read_text())["shapes-sd3"]
OPTIONS = yaml.safe_load((ROOT / "config/models.yaml").read_text())["shapes-sd3"]["options"]
SHORT = {"steps": 4, "rows": 4, "warm_up": 1, "mean_over": 2}


def entry(**phases):
    network = json.loads(json.dumps(ROW["network"]))
    network["denoiser"] |= {"num_layers": 2, "control_layers": 1, "attention_head_dim": 8, "clip_widths": [8, 12],
                            "t5_width": 32}  # fmt: skip
    rules = {k: {x: y for x, y in v.items() if x != "stop"} | SHORT | phases for k, v in ROW["phases"].items()}
    return {"network": network, "phases": rules, "sampling": ROW["sampling"] | {"steps": 2}, "seed": 3}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    target = DatasetFolder(folder)
    for number in range(30):
        colour, shape = easy_vqa.PAIRS[number % 24]
        picture = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(picture).rectangle([10 + number, 12, 40, 20 + number], fill=easy_vqa.COLOURS[colour])
        name, part = f"{number:03d}", ("train", "train", "train", "calibration", "test")[number % 5]
        pixels = np.asarray(picture)
        prompt = f"a {easy_vqa.COLOURS[colour]} {easy_vqa.SHAPES[shape]}"
        target.add(part, name, prompt=prompt, colour=colour, shape=shape,
                   image=target.png(f"i/{name}.png", pixels),
                   control=target.png(f"c/{name}.png", easy_vqa.edges(pixels, 50, 150)))  # fmt: skip
    target.facts |= {k: list(getattr(easy_vqa, k.upper())) for k in ("colours", "shapes", "captions")}
    target.finish({"name": "shapes", "options": easy_vqa.OPTIONS})
    return folder


@pytest.fixture(scope="module")
def model(dataset, tmp_path_factory) -> Path:
    """Trained for a few steps, then written as it ships, with random features beside it."""
    from safetensors.torch import save_file

    from lamofc import efficientnet
    from lamofc.stages import train_text_to_image

    folder = tmp_path_factory.mktemp("model")
    train_text_to_image.train(entry(), dataset, folder, tmp_path_factory.mktemp("state"), lambda line: None)
    (folder / "features").mkdir()
    weights = {k: torch.from_numpy(v) for k, v in efficientnet.folded(lite0()).items()}
    save_file(weights, folder / "features/model.safetensors")
    return folder


def lite0() -> dict[str, np.ndarray]:
    """Random weights under the names that the package has."""
    rng, found = np.random.default_rng(0), {}

    def layer(conv, norm, shape):
        found[f"{conv}.weight"] = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype("f4")
        found.update({f"{norm}.{k}": rng.uniform(0.5, 1.5, shape[0]).astype("f4")
                      for k in ("weight", "bias", "running_mean", "running_var")})  # fmt: skip

    layer("_conv_stem", "_bn0", (32, 3, 3, 3))
    before, number = 32, 0
    plan = [(1, 3, 16), (2, 3, 24), (2, 5, 40), (3, 3, 80), (3, 5, 112), (4, 5, 192), (1, 3, 320)]
    for count, size, width in plan:
        for _ in range(count):
            block, wide = f"_blocks.{number}.", before * (6 if number else 1)
            if number:
                layer(block + "_expand_conv", block + "_bn0", (wide, before, 1, 1))
            layer(block + "_depthwise_conv", block + "_bn1", (wide, 1, size, size))
            layer(block + "_project_conv", block + "_bn2", (width, wide, 1, 1))
            before, number = width, number + 1
    layer("_conv_head", "_bn1", (1280, 320, 1, 1))
    return found


def examples(dataset, folder, part="test"):
    from lamofc.tasks import build

    task = build("drawn_shapes", dataset, folder)
    return task, list(task.examples(part))


@pytest.mark.parametrize("split", ["condition", "latent"])
def test_a_trained_model_is_cut_without_a_trace(model, dataset, split):
    from lamofc.features import check
    from lamofc.models import build

    options = {**OPTIONS, "steps": 2}
    net = build({"family": "sd3_control", "options": options}, model, split)
    _, found = examples(dataset, model)
    inputs, side = [e.inputs for e in found], [e.side for e in found]
    features = net.head(inputs)
    for sample in features:
        check(sample, net.specs)
    outputs = net.unsplit(inputs, side)
    assert all(map(np.array_equal, net.tail(features, side), outputs)) and outputs[0].shape == (64, 64, 3)
    assert not any(side)


def test_training_goes_on_where_it_stopped(dataset, tmp_path):
    from lamofc.training.phase import Phase

    finished = []
    for name, stops in (("a", [120]), ("b", [50, 120])):
        for stop in stops:
            torch.manual_seed(0)
            net = torch.nn.Linear(3, 1)
            rule = SHORT | {"steps": 120, "learning_rate": 0.1, "weight_decay": 0.0, "decay": 0.5, "clip": 1}

            def loss(generator, net=net):
                x = torch.randn(8, 3, generator=generator)
                return (net(x) - x.sum(1, keepdim=True)).square().mean()

            phase = Phase(net, rule, 7, loss, tmp_path / name)
            phase.run(lambda line: None, stop)
        finished.append((net.weight.clone(), phase.curve))
    assert torch.equal(finished[0][0], finished[1][0]) and finished[0][1] == finished[1][1]
    assert finished[0][1][-1]["loss"] < 0.05 * finished[0][1][0]["loss"]


def test_words_are_one_token_each_and_others_go_by_letters(dataset):
    from lamofc.training import drawings, word_tokens

    texts = drawings.captions(dataset)
    assert len(texts) == 6 * 24
    for tokenizer, around in ((word_tokens.clip(texts, 8), 2), (word_tokens.t5(texts, 8), 1)):
        for text in texts:
            assert len(tokenizer(text).input_ids) == len(text.split()) + around, text
        assert len(tokenizer("zebra").input_ids) > 2 + around


def test_the_judge_decides_the_score_and_columns_tell_the_rest(model, dataset, monkeypatch):
    from lamofc.tasks import shape_judge

    task, found = examples(dataset, model)
    output, truth = found[0].inputs["control"], found[0].truth
    for colour, shape, wanted in ((0, 0, 1.0), (1, 0, 0.0), (0, 1, 0.0)):
        read = {"colour": np.array([truth["colour"] + colour]), "shape": np.array([truth["shape"] + shape])}
        monkeypatch.setattr(shape_judge, "read", lambda net, images, read=read: read)
        outcome = task.outcome(output, truth)
        assert outcome["both"] == wanted and outcome["colour"] == float(colour == 0)
    records = [task.record(e.inputs["control"], e.inputs["control"], e.truth) for e in found]
    columns = task.set_columns(records)
    assert columns["frechet_to_reference"] == pytest.approx(0, abs=1e-6) and columns["perceptual_to_reference"] == 0
    assert columns["frechet"] > 0 and {"kid", "frechet_bias", "colour", "shape", "edge_agreement"} <= set(columns)
    assert task.score({"both": np.array([1.0, 0.0])}) == 50 and task.chance == pytest.approx(100 / 24)


def test_pictures_are_kept_small_and_whole(model, dataset):
    task, found = examples(dataset, model)
    image = found[0].inputs["control"]
    assert np.array_equal(png.read(png.write(task.picture(image))), image)
    assert task.picture(np.zeros((1024, 1024, 3), np.uint8)).shape == (128, 128, 3)


def test_a_drawing_goes_in_as_its_edges_and_its_prompt(dataset):
    from lamofc.results.inputs import compressed
    from lamofc.tasks import items

    item = next(iter(items.of_part(dataset, "test")))
    form, data = compressed(dataset, item)
    without, _ = compressed(dataset, {k: v for k, v in item.items() if k != "control"})
    assert form == "lossless WebP and text" != without and len(data) < 400


@pytest.mark.resources
def test_what_ships_draws_as_asked():
    """On test drawings, whose edges and pixels no training has seen."""
    from lamofc.models import build
    from lamofc.tasks import shape_judge
    from lamofc.tasks.drawn_shapes import Task

    dataset, folder = ROOT / "resources/data/shapes-canny", ROOT / "trained/shapes-sd3"
    if not dataset.is_dir():
        pytest.skip(f"{dataset} is not there: build it first")
    found = list(Task(dataset, folder).examples("test", 96))
    net = build({"family": "sd3_control", "options": OPTIONS}, folder, "latent")
    images = np.stack(net.unsplit([e.inputs for e in found], [e.side for e in found]))
    real = np.stack([np.asarray(Image.open(dataset / e.truth["image"]).convert("RGB")) for e in found])
    judge = shape_judge.load(folder / "judge")
    for kind, some, least in (("drawn", real, (98, 98)), ("made", images, (90, 80))):
        read = shape_judge.read(judge, some)
        for key, bound in zip(shape_judge.READS, least, strict=True):
            share = 100 * np.mean([read[key][i] == e.truth[key] for i, e in enumerate(found)])
            assert share > bound, (kind, key, share)
