"""A model on one GPU, and spread over two: nothing may meet a tensor of another device. No GPU is needed, and no
number is computed: fake tensors carry shapes, dtypes and devices through the code that would run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_audio_lm
import tiny_sd3
import torch
import yaml
from fake_gpus import spread
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorDeviceMismatchError, FakeTensorMode

from lamofc import models
from lamofc.convert import convert
from lamofc.models import device, dino, placing, sd3_control

accelerate = pytest.importorskip("accelerate")
ROOT = Path(__file__).parents[1]
ONE, TWO = "cuda:0", "cuda:1"
MAPS = {
    "one GPU": lambda layers: {"": ONE},
    # cut among the head's layers, at the split, and among the tail's; the last with everything but the layers behind
    "in the head": lambda layers: _halves(layers, 2),
    "at the split": lambda layers: _halves(layers, 3),
    "in the tail": lambda layers: _halves(layers, 4),
}


def _halves(layers, first):
    return {"": ONE} | {name: ONE if i < first else TWO for i, name in enumerate(layers)} | dict.fromkeys(ENDS, TWO)


ENDS = ("model.norm", "lm_head", "backbone.norm_f", "norm")
TINY = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 5, "vocab_size": 97}


def language_model(kind, folder):
    import transformers

    more = {"num_attention_heads": 4, "num_key_value_heads": 2} if kind == "Qwen3" else {"state_size": 4}
    more |= {"intermediate_size": 64, "time_step_rank": 2} if kind == "FalconMamba" else {}
    config = getattr(transformers, f"{kind}Config")(**TINY | more, tie_word_embeddings=False)
    getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(folder)
    family = {"Qwen3": "causal_lm", "FalconMamba": "state_space_lm"}[kind]
    return models.build({"family": family, "options": {"dtype": "float32", "device": "cpu"}}, folder, "layer2")


@pytest.mark.parametrize("places", MAPS)
@pytest.mark.parametrize("kind", ["Qwen3", "FalconMamba"])
def test_a_language_model_goes_on_over_what_it_received(kind, places, tmp_path):
    model = language_model(kind, tmp_path)
    base = "model" if kind == "Qwen3" else "backbone"
    mode = spread(model.net, MAPS[places]([f"{base}.layers.{i}" for i in range(5)]))
    assert model.device == torch.device(ONE)
    with mode, torch.no_grad():
        ids = torch.zeros(2, 7, dtype=torch.int64, device=ONE)
        sent = model.features({"input_ids": ids})
        received = {name: t.cpu().to(model.device) for name, t in sent.items()}  # through the codec and back
        hidden, cache = model.prefill(received)
        logprobs = model._logprobs(model._go_on(ids[:, :1], cache)[:, -1])
        assert hidden.shape == (2, 7, 32) and logprobs.shape == (2, 97)
        for side in ({"options": [[1, 2], [3]]}, {"max_new_tokens": 3, "stop": [5]}):
            with pytest.raises(DataDependentOutputException):  # all was computed that numbers can be read of
                model._answer(*model.prefill(received), [side] * 2)
        if kind == "FalconMamba":
            model._written = lambda received, side: [1, 2]
            assert model.last_feature({k: v[:1] for k, v in received.items()}, [{}]).shape == (1, 3, 32)


@pytest.mark.parametrize("places", MAPS)
@pytest.mark.parametrize("split", ["block2", "blocks1-2-4"])
def test_a_vision_transformer_hands_its_maps_to_the_readout(split, places, tmp_path):
    from safetensors.torch import save_file
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    net = DINOv3ViTModel(DINOv3ViTConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=5,
                                         num_attention_heads=4, num_register_tokens=2))  # fmt: skip
    net.save_pretrained(tmp_path)
    save_file({"linear.weight": torch.zeros(1000, 64), "linear.bias": torch.zeros(1000)},
              tmp_path / "linear-head.safetensors")  # fmt: skip
    model = dino.Model(tmp_path, split, "linear-head", dtype="float32", device="cpu", image_size=32)
    mode = spread(model.net, MAPS[places]([f"model.layer.{i}" for i in range(5)]))
    spread(model.readout, {"": ONE})
    model.device = torch.device(ONE)
    with mode, torch.no_grad():
        sent = model.features(torch.zeros(1, 3, 32, 32, device=ONE))
        maps = model.finish([sent[f"block{b}"].cpu().to(ONE) for b in model.blocks])
        assert {m.device for m in maps} == {torch.device(ONE)}
        side = {"size": [32, 32]}
        with pytest.raises(DataDependentOutputException):
            model._read(maps, [], [side])
        with pytest.raises(DataDependentOutputException):
            model._unsplit([({"image": np.zeros((32, 32, 3), np.uint8)}, side)])


@pytest.mark.parametrize("places", MAPS)
def test_a_model_that_hears_fuses_its_streams_where_the_embeddings_are(places, tmp_path):
    made = convert("kimi_audio", tiny_audio_lm.save_kimi(tmp_path), tmp_path / "made")
    model = models.build({"family": "audio_lm", "options": {"dtype": "float32", "device": "cpu"}}, made, "layer1")
    layers = [f"model.layers.{i}" for i in range(len(model._layers))]
    mode = spread(model.net, MAPS[places](layers))
    for part in (model.encoder, model.projector, model.speech):
        spread(part, {"": ONE}, mode)
    with mode, torch.no_grad():
        for module, argument in model.blank_sound():
            module(argument)
        frames = torch.empty(4 * model.projector.stack, model.encoder.config.d_model, device=ONE)
        ids = model._ids([[1, 2, 3, 4]])
        sent = model.features({"inputs_embeds": model._fuse(ids, None, model.project(frames)[None])})
        hidden, cache = model.prefill({name: t.cpu().to(model.device) for name, t in sent.items()})
        assert model._logprobs(model._go_on(ids[:, :1], cache)).shape[:2] == (1, 1)
        with pytest.raises(DataDependentOutputException):
            model._answer(hidden, cache, [{"max_new_tokens": 3, "stop": [5]}])


def test_stable_diffusion_on_one_gpu(tmp_path):
    """All but the library's own loop over steps, which reads numbers."""
    tiny_sd3.save(tmp_path, "sd35")
    options = {"dtype": "float16", "device": "cpu", "size": 32, "steps": 2, "text_tokens": 10}
    for split in sd3_control.SPLITS:
        model = sd3_control.Model(tmp_path, split, **options)
        nets = {k: v for k, v in model.pipeline.whole.components.items() if isinstance(v, torch.nn.Module)}
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        for net in nets.values():
            spread(net, {"": ONE}, mode)
        model.device = model.pipeline.device = model.pipeline.running_on
        assert model.device == torch.device(ONE) and len(nets) == 6
        with mode, torch.no_grad(), torch.device(ONE):  # the workflow's `device: cuda` makes that the default
            tokens, pooled = model.pipeline.encode(["red"])
            moments = model.pipeline.moments(model._pixels([{"control": np.zeros((32, 32, 3), np.uint8)}]))
            assert {t.device for t in (tokens, pooled, moments)} == {model.device}
            sample = {s.name: np.zeros(s.shape, np.float16) for s in model.specs}
            received = model._stacked([sample], model.pipeline.running_on)
            assert model.last_feature(received, [{}]).device == model.device
            with pytest.raises(RuntimeError, match="numpy"):  # computed, and on its way to the CPU
                if split == "latent":
                    model._decode([sample])
                else:
                    model._condition([{"prompt": "red", "control": np.zeros((32, 32, 3), np.uint8)}])


def test_the_fake_devices_would_notice(tmp_path):
    model = language_model("Qwen3", tmp_path)
    mode = spread(model.net, MAPS["in the head"]([f"model.layers.{i}" for i in range(5)]))
    with mode, torch.no_grad():
        received = {s.name: torch.zeros(1, *s.resolve(4), device=ONE) for s in model.specs}
        _, cache = model.prefill(received)
        cache.layers[2].keys = cache.layers[2].keys.to(ONE)  # where it was received, not where its layer runs
        with pytest.raises(FakeTensorDeviceMismatchError):
            model._go_on(torch.zeros(1, 1, dtype=torch.int64, device=ONE), cache)


def test_what_a_device_map_placed_is_not_moved_again():
    model = SimpleNamespace(net=torch.nn.Linear(2, 2), readout=torch.nn.Linear(2, 2), other=3)
    model.net.hf_device_map = {"": 0}
    assert device.move(model, "meta") is model
    assert (model.net.weight.device.type, model.readout.weight.device.type) == ("cpu", "meta")


@pytest.mark.parametrize("name", ["qwen3-8b", "falcon-mamba-7b"])
def test_full_size_is_dealt_out_to_small_gpus_layer_by_layer(name):
    """What `device_map: auto` does with two GPUs of 10 GiB: every weight is placed, no layer is cut."""
    row = yaml.safe_load((ROOT / "config/paper/models.yaml").read_text())[name]
    model = models.build(row | {"options": row["options"] | {"device": "meta"}},
                         ROOT / "config/paper/shapes" / name, "layer4")  # fmt: skip
    places = accelerate.infer_auto_device_map(
        model.net, max_memory={0: 10 * 2**30, 1: 10 * 2**30}, no_split_module_classes=model.net._no_split_modules
    )
    assert set(places.values()) == {0, 1}
    held = dict.fromkeys((0, 1), 0)
    for part, gpu in places.items():
        module = model.net.get_submodule(part)
        held[gpu] += placing.parameters(module) * 2
        layer = next((m for m in model.net.modules() if type(m).__name__ in model.net._no_split_modules
                      and m is not module and module in set(m.modules())), None)  # fmt: skip
        assert layer is None, f"{part} is a part of a layer"
    assert sum(held.values()) == placing.parameters(model.net) * 2 and max(held.values()) <= 10 * 2**30
