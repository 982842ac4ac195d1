"""DINOv2 and DINOv3 as the paper cuts them: miniatures bit for bit, full size on the meta device."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lamofc.errors import ConfigError
from lamofc.features import check
from lamofc.models import dino, dino_readouts, placing, views
from lamofc.models.dino_trunk import Trunk

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
        for key, value in module.named_buffers():  # norms that do something
            if key.endswith(("running_mean", "running_var")):
                value.copy_(torch.rand_like(value) * 0.5 + 0.5)
        save_file(module.state_dict(), place / f"{name}.safetensors")
    return place


def pictures():
    rng = np.random.default_rng(0)
    sizes = [(64, 96), (48, 150), (64, 96)]
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    return [{"image": i} for i in images], [{"size": list(i.shape[:2])} for i in images]


def same(a, b):
    return all(map(same, a.values(), b.values())) if isinstance(a, dict) else np.array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(("split", "readout"), CUTS)
def test_the_cut_leaves_no_trace(folder, split, readout, dtype):
    model = dino.Model(folder, split, readout, dtype=dtype, device="cpu", batch=2, image_size=64)
    inputs, side = pictures()
    features = model.head(inputs)
    for sample in features:
        check(sample, model.specs)
    outputs = model.unsplit(inputs, side)
    assert all(map(same, model.tail(features, side), outputs))
    assert not same(outputs[0], outputs[2]), "the output depends on the image"


def test_the_tail_reads_neither_the_pixels_nor_the_head(folder):
    model = dino.Model(folder, "blocks0-1-2-3", "mask2former", device="cpu")
    inputs, side = pictures()
    features, outputs = model.head(inputs), model.unsplit(inputs, side)
    head = [*model.net.embeddings.parameters(), *model.trunk.blocks.parameters()]
    for parameter in [*head, *model.readout.spatial_prior.parameters()]:
        parameter.data.fill_(float("nan"))
    assert all(map(same, model.tail(features, side), outputs))


def test_without_its_prior_the_segmentation_tail_sends_the_tables_tensors_alone(folder):
    model = dino.Model(folder, "blocks0-1-2-3", "mask2former", device="cpu", prior="none")
    assert [s.name for s in model.specs] == ["block0", "block1", "block2", "block3"]
    inputs, side = pictures()
    assert all(map(same, model.tail(model.head(inputs), side), model.unsplit(inputs, side)))
    with pytest.raises(ConfigError, match="prior 'guessed'"):
        dino.Model(folder, "blocks0-1-2-3", "mask2former", device="cpu", prior="guessed")


def test_dinov2_goes_the_same_way(tmp_path):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    net = Dinov2Model(Dinov2Config(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=56,
                                   patch_size=14, use_swiglu_ffn=True))  # fmt: skip
    net.save_pretrained(tmp_path)
    save_file({"linear.weight": torch.randn(1000, 96), "linear.bias": torch.zeros(1000)},
              tmp_path / "linear-head.safetensors")  # fmt: skip
    model = dino.Model(tmp_path, "block1", "linear-head", device="cpu", image_size=56)
    inputs, side = pictures()
    assert model.specs[0].shape == (17, 48)
    assert all(map(same, model.tail(model.head(inputs), side), model.unsplit(inputs, side)))


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
    print(placing.parameters(model.readout), placing.parameters(model.readout.spatial_prior))


def test_full_size_depth():
    model = full("blocks9-19-29-39", "dpt")
    assert crossing(model, 2) == {f"block{b}": ((2, 3077, 4096), "float32") for b in (9, 19, 29, 39)}
    assert {s.shape for s in model.specs} == {(2 * 3077, 4096)}
    print(placing.parameters(model.readout))


def test_full_size_predecessor():
    model = dino.Model(SHAPES / "dinov2-g", "block39", "linear-head", device="meta", image_size=518)
    assert crossing(model, 1) == {"block39": ((1, 1370, 1536), "float32")}
    print(placing.parameters(model.net))


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
