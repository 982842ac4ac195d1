"""DINOv2 and DINOv3 as the paper cuts them: miniatures bit for bit, full size on the meta device."""

from __future__ import annotations

import json
from pathlib import Path

import answers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lamofc.convert import convert
from lamofc.convert import dino as convert_dino
from lamofc.errors import ConfigError
from lamofc.features import check
from lamofc.models import dino, dino_readouts, placing, views
from lamofc.models.dino_trunk import Trunk
from lamofc.tasks import measures

SHAPES = Path(__file__).parents[1] / "config/paper/shapes"
SMALL = {
    "linear-head": {"classes": 10},
    "dpt": {"size": [64, 96], "channels": [16, 16, 16, 16], "fused": 16, "bins": 8, "hidden": 8},
    "mask2former": {"side": 64, "stride": 40, "short": 64, "inner": 8, "adapter_heads": 4, "classes": 5, "hidden": 64,
                    "feedforward": 64, "heads": 4, "queries": 6, "layers": [1, 2]},
}  # fmt: skip
CUTS = [
    ("block1", "linear-head"),
    ("block3", "linear-head"),
    ("blocks0-1-2-3", "dpt"),
    ("blocks0-1-2-3", "mask2former"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random DINOv3 with registers, rotary positions and gated MLP, and its three heads."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("dinov3")
    config = DINOv3ViTConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
                             num_register_tokens=4, use_gated_mlp=True, hidden_act="silu", query_bias=False,
                             value_bias=False, layerscale_value=0.5, initializer_range=0.1)  # fmt: skip
    net = DINOv3ViTModel(config)
    net.save_pretrained(place)
    for name, options in SMALL.items():
        (place / f"{name}.json").write_text(json.dumps(options))
        module = dino_readouts.CLASSES[name](Trunk(net), 64, "sent", **options)
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):  # norms that do something
                part.running_var.uniform_(0.5, 1)
                torch.nn.init.normal_(part.bias, std=0.5)
        save_file(module.state_dict(), place / f"{name}.safetensors")
    return place


def pictures():
    rng = np.random.default_rng(0)
    sizes = [(64, 96), (48, 150), (64, 96)]
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    return [{"image": i} for i in images], [{"size": list(i.shape[:2])} for i in images]


def same(a, b):
    return all(map(same, a.values(), b.values())) if isinstance(a, dict) else np.array_equal(a, b)


def watched(model):
    """What the last layers of the readout give: finer than the classes that come of it. Filled at each call."""
    seen, last = [], model.readout.linear if hasattr(model.readout, "linear") else model.readout.head
    last.register_forward_hook(lambda module, arguments, out: seen.append(out.clone()))
    return seen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(("split", "readout"), CUTS)
def test_the_cut_leaves_no_trace(folder, split, readout, dtype):
    model = dino.Model(folder, split, readout, dtype=dtype, device="cpu", batch=2, image_size=64)
    inputs, side = pictures()
    features = model.head(inputs)
    for sample in features:
        check(sample, model.specs)
    seen, outputs = watched(model), model.unsplit(inputs, side)
    assert all(map(same, model.tail(features, side), outputs))
    whole, cut = seen[: len(inputs)], seen[len(inputs) :]
    assert all(map(torch.equal, cut, whole))
    by_size = [w for w in whole if w.shape == whole[0].shape]
    assert not torch.equal(*by_size[:2]), "the output depends on the image"


def test_the_tail_reads_neither_the_pixels_nor_the_head(folder):
    model = dino.Model(folder, "blocks0-1-2-3", "mask2former", device="cpu")
    inputs, side = pictures()
    features, seen, outputs = model.head(inputs), watched(model), model.unsplit(inputs, side)
    for name in features[0]:
        model.tail([{k: v * (k != name) for k, v in features[0].items()}], side[:1])
        assert not torch.equal(seen[-1], seen[0]), f"{name} is not read"
    head = [*model.net.embeddings.parameters(), *model.trunk.blocks.parameters()]
    for parameter in [*head, *model.readout.spatial_prior.parameters()]:
        parameter.data.fill_(float("nan"))
    assert all(map(same, model.tail(features, side), outputs)) and torch.equal(seen[-len(inputs)], seen[0])


@pytest.mark.parametrize(("split", "readout"), [CUTS[0], *CUTS[2:]])
def test_every_feature_has_a_gradient(folder, split, readout):
    model = dino.Model(folder, split, readout, device="cpu", image_size=64)
    inputs, side = pictures()
    (sample,) = model.head(inputs[1:2])
    received = {k: torch.from_numpy(v.copy())[None].requires_grad_() for k, v in sample.items()}
    feature = model.last_feature(received, side[1:2])
    (feature * torch.randn(feature.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert [k for k, t in received.items() if not t.grad.abs().sum() > 0] == []


@pytest.mark.parametrize(("split", "readout"), [CUTS[0], *CUTS[2:]])
def test_gradients_of_the_answer(folder, split, readout):
    model = dino.Model(folder, split, readout, device="cpu", image_size=64)
    inputs, side = pictures()
    measure = measures.likelihood if readout != "dpt" else lambda metres: measures.values(metres.log())
    answers.check(model, measure, model.head(inputs[1:2])[0], side[1])


def test_without_its_prior_the_segmentation_tail_sends_the_tables_tensors_alone(folder):
    model = dino.Model(folder, "blocks0-1-2-3", "mask2former", device="cpu", prior="none")
    assert [s.name for s in model.specs] == ["block0", "block1", "block2", "block3"]
    inputs, side = pictures()
    assert all(map(same, model.tail(model.head(inputs), side), model.unsplit(inputs, side)))
    with pytest.raises(ConfigError, match="prior 'guessed'"):
        dino.Model(folder, "blocks0-1-2-3", "mask2former", device="cpu", prior="guessed")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dinov2_goes_the_same_way(dtype, tmp_path):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    net = Dinov2Model(Dinov2Config(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=56,
                                   patch_size=14, use_swiglu_ffn=True))  # fmt: skip
    net.save_pretrained(tmp_path)
    save_file({"linear.weight": torch.randn(1000, 96), "linear.bias": torch.zeros(1000)},
              tmp_path / "linear-head.safetensors")  # fmt: skip
    model = dino.Model(tmp_path, "block1", "linear-head", dtype=dtype, device="cpu", image_size=56)
    inputs, side = pictures()
    assert (model.specs[0].shape, model.specs[0].dtype) == ((17, 48), dtype)
    assert all(map(same, model.tail(model.head(inputs), side), model.unsplit(inputs, side)))


NORM = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]


def published_names(layers, decoder):
    """Of DINOv3's segmentation head: adapter and Mask2Former, as their authors' code calls them."""
    both = ["weight", "bias"]
    adapter = {f"spm.stem.{i}": ["weight"] for i in (0, 3, 6)} | {f"spm.stem.{i}": NORM for i in (1, 4, 7)}
    adapter |= {f"spm.conv{n}.0": ["weight"] for n in (2, 3, 4)} | {f"spm.conv{n}.1": NORM for n in (2, 3, 4)}
    adapter |= {f"spm.fc{n}": both for n in (1, 2, 3, 4)} | {f"norm{n}": NORM for n in (1, 2, 3, 4)} | {"up": both}
    extractors = [f"interactions.{i}.extractor" for i in range(4)]
    extractors += [f"interactions.3.extra_extractors.{i}" for i in range(2)]
    inner = ["query_norm", "feat_norm", "ffn_norm", "ffn.fc1", "ffn.fc2", "ffn.dwconv.dwconv"]
    inner += [f"attn.{n}" for n in ("sampling_offsets", "attention_weights", "value_proj", "output_proj")]
    adapter |= {f"{e}.{n}": both for e in extractors for n in inner}
    head = {f"pixel_decoder.input_proj.{i}.{j}": both for i in range(4) for j in range(2)}
    parts = [*(f"self_attn.{n[5:]}" for n in inner[-4:]), "norm1", "linear1", "linear2", "norm2"]
    head |= {f"pixel_decoder.transformer.encoder.layers.{i}.{p}": both for i in range(layers) for p in parts}
    head |= {f"predictor.{n}": ["weight"] for n in ("query_feat", "query_embed", "level_embed")}
    head |= {f"predictor.mask_embed.layers.{i}": both for i in range(3)}
    head |= dict.fromkeys(("pixel_decoder.mask_features", "predictor.decoder_norm", "predictor.class_embed"), both)
    for i in range(decoder):
        for kind, attention in (("self", "self_attn"), ("cross", "multihead_attn")):
            layer = f"predictor.transformer_{kind}_attention_layers.{i}"
            head |= {f"{layer}.norm": both, f"{layer}.{attention}.out_proj": both}
            head[f"{layer}.{attention}"] = ["in_proj_weight", "in_proj_bias"]
        head |= {f"predictor.transformer_ffn_layers.{i}.{p}": both for p in ("linear1", "linear2", "norm")}
    names = [f"segmentation_model.0.{k}.{n}" for k, v in adapter.items() for n in v]
    names += [f"segmentation_model.1.{k}.{n}" for k, v in head.items() for n in v]
    return [*names, "segmentation_model.0.level_embed", "segmentation_model.1.pixel_decoder.transformer.level_embed"]


def test_published_names_of_the_segmentation_head_are_all_known(folder):
    names = [*published_names(1, 2), "segmentation_model.0.backbone.norm.weight"]
    found = convert_dino.rename("mask2former", {n: np.zeros(3) for n in names})
    model = dino.Model(folder, "blocks0-1-2-3", "mask2former", device="cpu")
    assert found.keys() == model.readout.state_dict().keys()


def test_published_heads_become_readouts(folder, tmp_path):
    """Trunk of the hub, heads as files of torch.save -> the same outputs as the readouts made here."""
    (tmp_path / "heads").mkdir()
    states = {n: load_file(folder / f"{n}.safetensors") for n in ("linear-head", "dpt")}
    torch.save({k[7:]: v for k, v in states["linear-head"].items()}, tmp_path / "heads/x_linear_head-1.pth")
    torch.save({"model": {k[5:]: v for k, v in states["dpt"].items()}}, tmp_path / "heads/x_dpt_head-2.pth")
    (tmp_path / "trunk").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "trunk" / name).symlink_to(folder / name)
    packages = {"trunk": tmp_path / "trunk", "heads": tmp_path / "heads"}
    made = convert("dino", packages, tmp_path / "out", {"sizes": SMALL})
    inputs, side = pictures()
    for split, readout in (("block1", "linear-head"), ("blocks0-1-2-3", "dpt")):
        ours, theirs = (dino.Model(f, split, readout, device="cpu", image_size=64) for f in (made, folder))
        assert all(map(same, ours.unsplit(inputs, side), theirs.unsplit(inputs, side)))


def test_a_published_classifier_gives_the_librarys_own_logits(tmp_path):
    from transformers import Dinov2Config, Dinov2ForImageClassification

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14,
                          num_labels=1000)  # fmt: skip
    net = Dinov2ForImageClassification(config).eval()
    torch.nn.init.normal_(net.classifier.weight)
    net.save_pretrained(tmp_path / "trunk")
    made = convert("dino", {"trunk": tmp_path / "trunk"}, tmp_path / "out")
    model = dino.Model(made, "block1", "linear-head", device="cpu", image_size=56)
    inputs, side = pictures()
    (output,) = model.tail(model.head(inputs[:1]), side[:1])
    with torch.inference_mode():
        expected = net(model.pixels(inputs[:1])).logits[0].numpy()
    assert np.allclose(output["logits"], expected, rtol=1e-4, atol=1e-4)


def full(split, readout, **options):
    return dino.Model(SHAPES / "dinov3-7b", split, readout, device="meta", **options)


def crossing(model, count):
    with torch.inference_mode():
        found = model.features(torch.empty(count, 3, *model.views.size, device="meta"))
    return {k: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in found.items()}


@pytest.mark.parametrize("block", [9, 39])
def test_full_size_classification(block):
    model = full(f"block{block}", "linear-head")
    assert crossing(model, 1) == {f"block{block}": ((1, 1029, 4096), "float32")}
    (spec,) = model.specs
    assert (spec.shape, spec.dtype, spec.attributes) == ((1029, 4096), "float32", {"grid": [32, 32], "prefix": 5})
    head = placing.parameters(model.net.embeddings, *model.trunk.blocks[: block + 1])
    tail = placing.parameters(*model.trunk.blocks[block + 1 :], model.trunk.norm, model.readout)
    assert (head, tail) == {9: (1_681_387_520, 5_042_840_552), 39: (6_716_026_880, 8_201_192)}[block]
    assert placing.parameters(model.net) == 6_716_035_072


def test_full_size_segmentation():
    model = full("blocks9-19-29-39", "mask2former")
    found = crossing(model, 2)  # an image of 480 x 640 has two windows
    assert model.views.count((480, 640)) == 2
    for block in (9, 19, 29, 39):
        assert found.pop(f"block{block}") == ((2, 3141, 4096), "float32")
    assert found == {f"prior{i + 1}": ((2, 224**2 >> 2 * i, c), "float32") for i, c in enumerate((64, 128, 256, 256))}
    assert [s.shape for s in model.specs] == [(None, 4096)] * 4 + [(None, c) for c in (64, 128, 256, 256)]
    assert set(crossing(full("blocks9-19-29-39", "mask2former", prior="none"), 1)) == {
        "block9",
        "block19",
        "block29",
        "block39",
    }
    prior = placing.parameters(model.readout.spatial_prior)
    assert (prior, placing.parameters(model.readout) - prior) == (1_035_584, 890_996_503)
    head = placing.parameters(model.net.embeddings, model.trunk.blocks, model.readout.spatial_prior)
    tail = placing.parameters(model.trunk.norm, model.readout.adapter, model.readout.head)
    assert (head, tail) == (6_717_062_464, 891_004_695)


def test_full_size_depth():
    model = full("blocks9-19-29-39", "dpt")
    assert crossing(model, 2) == {f"block{b}": ((2, 3077, 4096), "float32") for b in (9, 19, 29, 39)}
    assert {s.shape for s in model.specs} == {(2 * 3077, 4096)}
    assert placing.parameters(model.readout) == 230_702_624
    assert placing.parameters(model.trunk.norm, model.readout) == 230_710_816  # the tail; the head is 6 716 026 880


def test_full_size_predecessor():
    model = dino.Model(SHAPES / "dinov2-g", "block39", "linear-head", device="meta", image_size=518)
    assert crossing(model, 1) == {"block39": ((1, 1370, 1536), "float32")}
    assert (placing.parameters(model.net), placing.parameters(model.readout)) == (1_136_480_768, 3_073_000)


def test_windows_cover_the_image_and_overlaps_are_averaged():
    cutter = views.Windows()
    assert cutter.scaled((480, 640)) == (896, 1195) and cutter.corners((480, 640)) == [(0, 0), (0, 299)]
    assert cutter.corners((512, 512)) == [(0, 0)]
    assert cutter.corners((500, 1000)) == [(0, 0), (0, 596), (0, 896)]
    small = views.Windows(4, 2, 4)
    image = np.zeros((4, 7, 3), np.uint8)
    assert small.corners(image.shape[:2]) == [(0, 0), (0, 2), (0, 3)]
    maps = torch.stack([torch.full((1, 4, 4), float(v)) for v in (1, 2, 6)])
    assert small.join(maps, (4, 7))[0, 0].tolist() == [1, 1, 1.5, 3, 4, 4, 6]


def test_the_mirrored_view_is_turned_back():
    mirrored = views.Mirrored((2, 2))
    maps = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]], [[[5.0, 3.0], [9.0, 7.0]]]])
    assert mirrored.join(maps, (2, 2))[0].tolist() == [[2.0, 4.0], [6.0, 8.0]]
    pixels = mirrored.cut(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    assert torch.equal(pixels[0].flip(-1), pixels[1])


def test_devices_that_are_not_there_are_named():
    with pytest.raises(ConfigError, match="0 CUDA devices"):
        placing.device_of("cuda:7")
    with pytest.raises(ConfigError, match="none of auto"):
        placing.device_of("abacus")
