"""Stable Diffusion 3 with a ControlNet: a miniature of the same classes bit for bit, full size on the meta device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_sd3
import torch
from PIL import Image

from lamofc import frechet, likeness, tasks
from lamofc.convert import convert
from lamofc.errors import ConfigError, FetchError
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


@pytest.mark.parametrize("split", sd3_control.SPLITS)
def test_the_cut_leaves_no_trace_in_batches_nor_where_the_start_is_made(folders, split):
    for guidance in (1.0, 3.0):
        options = SMALL | {"dtype": "float32", "batch": 3, "clip_start": "own", "guidance": guidance}
        model = sd3_control.Model(folders["sd35"], split, **options)
        inputs, side = requests()
        inputs, side = inputs * 2, side * 2
        features, outputs = model.head(inputs), model.unsplit(inputs, side)
        for sample in features:
            check(sample, model.specs)
        assert all(map(np.array_equal, model.tail(features, side), outputs))
        assert not np.array_equal(outputs[0], outputs[1])
        # A sample's noise does not depend on its place in a batch: only rounding may.
        assert np.abs(outputs[0].astype(int) - outputs[2]).max() <= 1


def test_nothing_that_is_the_same_for_all_samples_is_sent(folders):
    own = sd3_control.Model(folders["sd35"], "condition", dtype="float32", clip_start="own", batch=8, **SMALL)
    sent = sd3_control.Model(folders["sd35"], "condition", dtype="float32", batch=8, **SMALL)
    prompts = ["a red dot", "blue", "", "quick brown foxes"]
    rng = np.random.default_rng(3)
    inputs = [{"prompt": p, "control": rng.integers(0, 256, (32, 32, 3), np.uint8)} for p in prompts]
    varying = {k: np.ptp([s[k] for s in own.head(inputs)], axis=0).reshape(s.shape[0], -1).any(-1)
               for k, s in ((s.name, s) for s in own.specs)}  # fmt: skip
    assert all(v.all() for v in varying.values()), varying
    starts = np.stack([s["clip_l"][0] for s in sent.head(inputs)])
    assert np.ptp(starts, axis=0).max() == 0, "what `own` leaves out is the same for all"
    with pytest.raises(ConfigError, match="neither send nor own"):
        sd3_control.Model(folders["sd35"], "condition", clip_start="drop", **SMALL)


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
    model.vae.encoder = None
    assert all(map(np.array_equal, model.tail(features, side), outputs))


def test_the_tail_of_the_latent_loads_the_decoder_alone(folders):
    inputs, side = requests()
    whole = sd3_control.Model(folders["sd35"], "latent", dtype="float32", **SMALL)
    features = whole.head(inputs)
    tail = sd3_control.Model(folders["sd35"], "latent", dtype="float32", **SMALL)
    assert all(map(np.array_equal, tail.tail(features, side), whole.unsplit(inputs, side)))
    assert "whole" not in tail.pipeline.__dict__


@pytest.mark.parametrize(("control", "split"), [("sd35", "condition"), ("sd3", "condition"), ("sd35", "latent")])
def test_every_feature_has_a_gradient(folders, control, split):
    model = sd3_control.Model(folders[control], split, dtype="float32", **SMALL)
    (sample,) = model.head(requests()[0][:1])
    received = {k: torch.from_numpy(v.copy())[None].requires_grad_() for k, v in sample.items()}
    for parameter in model.net.parameters():
        parameter.requires_grad_(False)
    model.last_feature(received, [{}]).square().sum().backward()
    for name, tensor in received.items():
        assert tensor.grad is not None and torch.isfinite(tensor.grad).all() and tensor.grad.abs().sum() > 0, name


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


# Bytes of the files that hold the published weights in half precision, as the hub lists them.
PUBLISHED = {"text_encoder": 247_323_896, "text_encoder_2": 1_389_382_176, "text_encoder_3": 9_524_648_352,
             "transformer": 16_292_705_296}  # fmt: skip
HEAD_AND_TAIL = 5_614_895_008, 10_259_691_971  # weights at the split "condition"


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
    weights = {k: placing.parameters(v) for k, v in nets.items()}
    assert weights == {
        "vae": 83_819_683, "text_encoder": 123_650_304, "text_encoder_2": 694_659_840, "text_encoder_3": 4_762_310_656,
        "transformer": 8_056_627_520, "controlnet": 2_153_518_976,
    }  # fmt: skip
    halves = placing.parameters(nets["vae"].encoder), placing.parameters(nets["vae"].decoder)
    text = sum(weights[k] for k in parts if k.startswith("text"))
    assert (text + halves[0], weights["transformer"] + weights["controlnet"] + halves[1]) == HEAD_AND_TAIL
    weights["transformer"] += nets["transformer"].pos_embed.pos_embed.numel()  # saved too, though never trained
    names = {k: size - 2 * weights[k] for k, size in PUBLISHED.items()}
    assert all(0 < n < 200_000 for n in names.values()), "what the files hold besides is the names of their tensors"
    assert 8.61e9 <= 4 * weights["controlnet"] < 8.62e9, "its file, in float32, is listed with 8.61 GB"


def test_packages_are_laid_side_by_side(folders, tmp_path):
    (tmp_path / "clip").mkdir()
    tiny_sd3.save_judge(tmp_path / "clip")
    packages = {"a": folders["sd35"] / "controlnet", "b": tmp_path / "clip", "c": folders["sd35"] / "pipeline"}
    made = convert("sd3_control", packages, tmp_path / "made")
    assert (made / "pipeline/vae/config.json").is_symlink() and (made / "judge/model.safetensors").is_symlink()
    inputs, side = requests()
    models = [sd3_control.Model(f, "condition", dtype="float32", **SMALL) for f in (made, folders["sd35"])]
    assert np.array_equal(*(m.unsplit(inputs[:1], side[:1])[0] for m in models))
    with pytest.raises(FetchError, match=r"no config\.json of the judge"):
        convert("sd3_control", {k: packages[k] for k in "ac"}, tmp_path / "other")


def test_images_are_judged_against_caption_photograph_and_uncompressed_run(tmp_path):
    tiny_sd3.save_judge(tmp_path / "judge")
    (tmp_path / "dataset.json").write_text('{"options": {"low": 50, "high": 150}}')
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(6)]
    Image.fromarray(images[5]).save(tmp_path / "photo.png")
    task = tasks.load("text_to_image")(tmp_path, tmp_path)
    Image.fromarray(task.edges(images[0], 50, 150)).save(tmp_path / "edges.png")
    truth = {"prompt": "a red dot", "image": "photo.png", "control": "edges.png"}
    (found,) = task.outcome(images[0], truth).values()
    image, text = task.judge.image(images[0]), task.judge.text("a red dot")
    cosine = float(image @ text / np.sqrt((image @ image) * (text @ text)))
    assert found == pytest.approx(100 * max(0, cosine)) and image.shape == text.shape == (16,)
    assert not np.allclose(text, task.judge.text("blue"))
    same = task.set_columns([task.record(i, i, truth) for i in images[:3]])
    assert same["frechet_to_reference"] == pytest.approx(0, abs=1e-9) and same["psnr_to_reference"] == 100
    assert same["ssim_to_reference"] == pytest.approx(1) and same["perceptual_to_reference"] == 0
    assert task.record(images[0], images[0], truth)["edge_agreement"] == 1 >= same["edge_agreement"]
    moved = task.set_columns([task.record(i, j, truth) for i, j in zip(images[:3], images[3:], strict=True)])
    assert moved["ssim_to_reference"] < 0.5 and moved["perceptual_to_reference"] > 0
    assert moved["frechet_to_reference"] > 0 and moved["frechet"] == pytest.approx(same["frechet"])


def test_set_distances_tell_equal_from_different():
    rng = np.random.default_rng(0)
    a, b, far = rng.normal(0, 1, (40, 6)), rng.normal(0, 1, (40, 6)), rng.normal(2, 1, (40, 6))
    assert abs(frechet.kernel_distance(a, b)) < 0.3 < frechet.kernel_distance(a, far)
    bias = np.mean([frechet.frechet_distance(rng.normal(0, 1, (40, 6)), rng.normal(0, 1, (40, 6))) for _ in range(9)])
    assert frechet.frechet_bias(a) == pytest.approx(bias, rel=0.5)
    assert np.isnan(frechet.frechet_bias(a[:3])) and np.isnan(frechet.kernel_distance(a[:1], b))


def test_edges_agree_within_a_pixel():
    lines = np.zeros((20, 20), np.uint8)
    lines[10] = 255
    near, far = np.roll(lines, 1, 0), np.roll(lines, 4, 0)
    assert likeness.edge_agreement(lines, near) == 1 and likeness.edge_agreement(lines, far) == 0
    assert likeness.edge_agreement(lines * 0, lines) == 0 and likeness.edge_agreement(lines * 0, lines * 0) == 1
    assert likeness.edge_agreement(lines | far, lines) == pytest.approx(2 / 3)


def test_psnr_by_hand():
    flat, other = np.full((2, 2, 3), 100, np.uint8), np.full((2, 2, 3), 100, np.uint8)
    other[0, 0, 0] = 112  # mean square error 144 / 12
    task = tasks.load("text_to_image").__new__(tasks.load("text_to_image"))
    assert likeness.psnr(flat, other) == pytest.approx(10 * np.log10(255**2 / 12))
    assert task.damage(flat, other) == pytest.approx(np.sqrt(12) / 255) and not task.flipped(flat, other)
    assert task.flipped(flat, 255 - flat * 2)
