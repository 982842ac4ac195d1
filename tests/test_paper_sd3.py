"""Stable Diffusion 3 with a ControlNet: a miniature of the same classes bit for bit, full size on the meta device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_sd3
import torch

from lamofc.errors import ConfigError
from lamofc.features import check
from lamofc.models import placing, sd3_control

FULL = Path(__file__).parents[1] / "config/paper/shapes/sd35-large"
SMALL = {"size": 32, "steps": 2, "text_tokens": 10, "device": "cpu"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for control in ("sd35", "sd3"):
        made[control] = tmp_path_factory.mktemp(control)
        tiny_sd3.save(made[control], control)
    return made


def requests():
    rng = np.random.default_rng(0)
    edges = [np.repeat(rng.integers(0, 2, (32, 32, 1), np.uint8) * 255, 3, -1) for _ in range(2)]
    return [{"prompt": p, "control": e} for p, e in zip(["a red dot", "blue"], edges, strict=True)], [{}, {}]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("split", sd3_control.SPLITS)
@pytest.mark.parametrize("control", ["sd35", "sd3"])
def test_the_cut_leaves_no_trace(folders, control, split, dtype):
    model = sd3_control.Model(folders[control], split, dtype=dtype, **SMALL)
    inputs, side = requests()
    features = model.head(inputs)
    for sample in features:
        check(sample, model.specs)
    outputs = model.unsplit(inputs, side)
    assert all(map(np.array_equal, model.tail(features, side), outputs))
    assert outputs[0].shape == (32, 32, 3) and not np.array_equal(*outputs)


def test_each_tensor_of_the_condition_is_read_and_none_is_sent_twice(folders):
    model = sd3_control.Model(folders["sd3"], "condition", dtype="float32", **SMALL)
    inputs, side = requests()
    (sample,), (whole,) = model.head(inputs[:1]), model.unsplit(inputs[:1], side[:1])
    assert {k: v.shape for k, v in sample.items()} == {
        "clip_l": (12, 16), "clip_l_pooled": (16,), "clip_g": (12, 24), "clip_g_pooled": (24,), "t5": (10, 64),
        "control": (8, 16, 16),
    }  # fmt: skip
    for name, array in sample.items():
        changed = sample | {name: array + 3 * np.random.default_rng(1).standard_normal(array.shape).astype("f4")}
        assert not np.array_equal(model.tail([changed], side[:1])[0], whole), name
    flat = [v.tobytes() for v in sample.values()]
    assert len(set(flat)) == len(flat)


def test_the_head_of_the_condition_is_never_asked_by_its_tail(folders):
    model = sd3_control.Model(folders["sd35"], "condition", dtype="float32", **SMALL)
    inputs, side = requests()
    features, outputs = model.head(inputs), model.unsplit(inputs, side)
    model.pipe.vae.encoder = None
    assert all(map(np.array_equal, model.tail(features, side), outputs))


def test_the_tail_of_the_latent_loads_the_decoder_alone(folders):
    inputs, side = requests()
    whole = sd3_control.Model(folders["sd35"], "latent", dtype="float32", **SMALL)
    features = whole.head(inputs)
    tail = sd3_control.Model(folders["sd35"], "latent", dtype="float32", **SMALL)
    assert all(map(np.array_equal, tail.tail(features, side), whole.unsplit(inputs, side)))
    assert "pipe" not in tail.__dict__


def test_other_splits_are_refused(folders):
    with pytest.raises(ConfigError, match="condition or latent"):
        sd3_control.Model(folders["sd35"], "layer4", **SMALL)


def table(split):
    specs = sd3_control.Model(FULL, split, device="meta").specs
    return {s.name: (s.kind, s.shape, s.dtype) for s in specs}


def test_full_size_features_are_the_papers():
    half = "float16"
    assert table("condition") == {
        "clip_l": ("embedding", (77, 768), half), "clip_l_pooled": ("pooled", (768,), half),
        "clip_g": ("embedding", (77, 1280), half), "clip_g_pooled": ("pooled", (1280,), half),
        "t5": ("embedding", (77, 4096), half), "control": ("latent", (32, 128, 128), half),
    }  # fmt: skip
    assert table("latent") == {"latent": ("latent", (16, 128, 128), half)}


def test_the_published_classes_give_those_shapes():
    from diffusers import AutoencoderKL, SD3ControlNetModel, SD3Transformer2DModel
    from transformers import CLIPTextModelWithProjection, T5EncoderModel

    parts = {"vae": AutoencoderKL, "text_encoder": CLIPTextModelWithProjection, "transformer": SD3Transformer2DModel,
             "text_encoder_2": CLIPTextModelWithProjection, "text_encoder_3": T5EncoderModel}  # fmt: skip
    nets = {k: placing.load(v, FULL / "pipeline" / k, "float16", "meta") for k, v in parts.items()}
    nets["controlnet"] = placing.load(SD3ControlNetModel, FULL / "controlnet", "float16", "meta")
    ids = torch.zeros(1, 77, dtype=torch.long, device="meta")
    half = {"dtype": torch.float16, "device": "meta"}
    with torch.inference_mode():
        moments = nets["vae"].encode(torch.empty(1, 3, 1024, 1024, **half)).latent_dist.parameters
        assert moments.shape == (1, 32, 128, 128)
        assert nets["vae"].decode(torch.empty(1, 16, 128, 128, **half)).sample.shape == (1, 3, 1024, 1024)
        for name, width in (("text_encoder", 768), ("text_encoder_2", 1280)):
            out = nets[name](ids, output_hidden_states=True)
            assert (out.text_embeds.shape, out.hidden_states[-2].shape) == ((1, width), (1, 77, width))
        assert nets["text_encoder_3"](ids)[0].shape == (1, 77, 4096)
        noise = nets["transformer"](
            torch.empty(2, 16, 128, 128, **half), torch.empty(2, 154, 4096, **half), torch.empty(2, 2048, **half),
            torch.zeros(2, **half), return_dict=False,
        )[0]  # fmt: skip
        assert noise.shape == (2, 16, 128, 128)
    counts = {k: placing.parameters(v) for k, v in nets.items()}
    print(counts)
