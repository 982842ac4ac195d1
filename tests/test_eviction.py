"""Tokens evicted from KV caches: chosen as published, coded as what is left, never seen by the tail."""

from pathlib import Path

import feature_samples
import numpy as np
import pytest
import torch
from test_models import prompts, tiny_gemma, tiny_llama, tiny_qwen
from transformers import DynamicCache

from lamofc import codecs, models, rate_control
from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.checked import read_yaml
from lamofc.codecs.evict import Codec
from lamofc.config import Plan
from lamofc.distortion import Distortion
from lamofc.errors import ConfigError, FeatureError
from lamofc.interfaces import TensorSpec
from lamofc.transforms import eviction

ROOT = Path(__file__).parents[1]
KEY = TensorSpec("k", "key", "float32", (2, None, 4), 3, feature_samples.ROPE)
VALUE = TensorSpec("v", "value", "float32", (2, None, 4), 3)


def cache(tokens, seed=0):
    return feature_samples.gaussian([KEY, VALUE], tokens, seed)


def test_the_smallest_keys_stay():
    keys = np.array([[[3, 4], [0, 1], [6, 8], [2, 0]], [[0, 1], [9, 0], [1, 1], [5, 0]]], np.float32)
    assert eviction.kept(keys, 0.5, "knorm", 0, 0).tolist() == [[1, 3], [0, 2]]
    assert eviction.kept(keys, 0.5, "knorm", 0, 1).tolist() == [[1, 3], [0, 3]]
    assert eviction.kept(keys, 0.5, "knorm", 1, 1).tolist() == [[0, 3], [0, 3]]
    assert eviction.kept(keys, 0.25, "knorm", 1, 1).tolist() == [[3], [3]], "the last come before the first"


def test_keys_unlike_the_others_stay():
    keys = np.array([[[2, 0.1], [5, 0], [0, 1], [3, -0.1]]], np.float32)
    assert eviction.kept(keys, 0.25, "keydiff", 0, 0).tolist() == [[2]]
    assert eviction.kept(100 * keys, 0.25, "keydiff", 0, 0).tolist() == [[2]], "lengths do not matter"


def test_a_window_is_what_the_last_tokens_are():
    assert eviction.kept(np.zeros((1, 10, 2), np.float32), 0.5, "window", 2, 0).tolist() == [[0, 1, 7, 8, 9]]


@pytest.mark.parametrize("policy", sorted(eviction.POLICIES))
@pytest.mark.parametrize("tokens", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("fraction", [1e-6, 0.07, 0.5, 1.0])
def test_every_head_keeps_as_many(policy, tokens, fraction):
    found = eviction.kept(np.ones((3, tokens, 2), np.float32), fraction, policy, 4, 8)
    assert found.shape == (3, min(tokens, max(1, int(np.ceil(round(fraction * tokens, 6))))))
    assert (np.diff(found, axis=1) > 0).all() and (found < max(tokens, 1)).all()


def test_keys_and_values_of_a_layer_lose_the_same_tokens():
    sample = cache(40)
    kept = Codec(keep=0.25, scales="stream").coder([KEY, VALUE], {}).kept(sample)
    where = eviction.kept(sample["k"], 0.25, "knorm", 4, 8)
    for name in ("k", "v"):
        assert kept[name].shape == (2, 10, 4)
        for head in range(2):
            assert np.array_equal(kept[name][head], sample[name][head, where[head]])


def test_what_is_no_cache_is_refused():
    with pytest.raises(ConfigError, match="layer 3 has two tensors of kind key"):
        Codec(scales="stream").coder([KEY, TensorSpec("k2", "key", "float32", (2, None, 4), 3)], {})
    coder = Codec(scales="stream").coder([KEY, VALUE], {})
    with pytest.raises(FeatureError, match="k and v: heads and tokens differ"):
        coder.kept({"k": cache(7)["k"], "v": cache(8)["v"]})
    for wrong in ({"keep": 0}, {"keep": 1.5}, {"policy": "snapkv"}, {"sinks": -1}):
        with pytest.raises(ConfigError, match=f"codec evict: {next(iter(wrong))}"):
            codecs.build("evict", wrong)


def entry(keep):
    own = {"keep": keep, "scales": "stream", "step": 0.1}
    return {"codec": "evict", "parameters": own, "fallback": {"codec": "uq-ec", "parameters": {"scales": "stream"}}}


def written(path, entry, specs, sample):
    with BitstreamWriter(path, entry, specs, {}, {}) as writer:
        writer.add(sample)
    return BitstreamReader(path, {})


def test_a_file_holds_what_is_left_and_no_positions(tmp_path):
    out = TensorSpec("output", "tokens", "float32", (None, 6), 3)
    specs = [out, KEY, VALUE]
    sample = feature_samples.gaussian(specs, 400, 1)
    readers = {k: written(tmp_path / f"{k}.lmfc", entry(k), specs, sample) for k in (1.0, 0.5, 0.1)}
    plain = {"codec": "uq-ec", "parameters": {"scales": "stream", "step": 0.1}}
    whole = readers[1.0].decode(0)
    assert np.array_equal(whole["k"], written(tmp_path / "u.lmfc", plain, specs, sample).decode(0)["k"])
    sizes = {k: sum(len(s) for s, n in zip(r.packet(0).sections, r.sections, strict=True) if n != "output")
             for k, r in readers.items()}  # fmt: skip
    for keep in (0.5, 0.1):
        decoded = readers[keep].decode(0)
        assert decoded["output"].shape == (400, 6) and decoded["k"].shape == (2, round(400 * keep), 4)
        assert keep * sizes[1.0] < sizes[keep] < keep * sizes[1.0] + 160, "smaller keys have a finer step of their own"


def test_distortion_of_what_was_evicted_is_not_defined():
    meter = Distortion([KEY, VALUE])
    sample = cache(20)
    meter.add(sample, Codec(keep=0.5, scales="stream").coder([KEY, VALUE], {}).kept(sample))
    assert all(np.isnan(f()) for f in (meter.mse, meter.rel_mse, meter.cosine, meter.cka))


def shortened(sample, keep):
    """Another choice and another number of tokens in every layer and head."""
    rng, out = np.random.default_rng(5), dict(sample)
    for layer in range(3):
        keys = sample[f"layer{layer}.key"]
        count = max(1, int(keep * keys.shape[1]) - layer)
        where = np.stack([np.sort(rng.permutation(keys.shape[1])[:count]) for _ in keys])[..., None]
        for kind in ("key", "value"):
            out[f"layer{layer}.{kind}"] = np.take_along_axis(sample[f"layer{layer}.{kind}"], where, 1)
    return out


def one_by_one(model, hidden, received, cut, tokens, new):
    """The library itself, a token at a time, over caches that are shorter in layers 0 .. cut."""
    full, _ = model.prefill({k: torch.from_numpy(v)[None] for k, v in received.items()})
    short = DynamicCache(config=model.net.config)
    for i, layer in enumerate(hidden.layers):
        pair = (layer.keys, layer.values)
        if i <= cut:
            pair = [torch.from_numpy(received[f"layer{i}.{kind}"])[None] for kind in ("key", "value")]
        short.update(*pair, i)
    states = [full[:, -1]]
    for k, token in enumerate(new):
        ids, at = torch.tensor([[token]]), torch.tensor([[tokens + k]])
        states.append(model.base(input_ids=ids, position_ids=at, past_key_values=short).last_hidden_state[:, -1])
    return torch.stack(states, 1)


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen])
def test_the_tail_sees_nothing_of_an_evicted_token(make, tmp_path):
    make(tmp_path)
    model = models.build({"family": "causal_lm", "options": {"dtype": "float32"}}, tmp_path, "layer2")
    sample = shortened(model.head(prompts(1, vocabulary=128)[0])[0], 0.6)
    tokens, new = len(sample["output"]), [5, 9, 2, 77]
    with torch.inference_mode():
        states, cache = model.prefill({k: torch.from_numpy(v)[None] for k, v in sample.items()})
        expected = one_by_one(model, cache, sample, 2, tokens, new)
        together = torch.cat([states[:, -1:], model._go_on(torch.tensor([new]), cache)], 1)
    assert torch.allclose(together, expected, atol=1e-5)
    whole = model.head(prompts(1, vocabulary=128)[0])
    side = [{"max_new_tokens": 8, "stop": []}]
    kept, evicted = model.tail(whole, side)[0], model.tail([sample], side)[0]
    assert not np.allclose(kept["logprobs"], evicted["logprobs"]), "eviction changes what is written"


def test_samples_of_one_call_may_have_lost_different_numbers(tmp_path):
    tiny_llama(tmp_path)
    model = models.build({"family": "causal_lm", "options": {"dtype": "float32"}}, tmp_path, "layer2")
    whole = model.head(prompts(1, vocabulary=128)[0])[0]
    many = [whole, shortened(whole, 0.7), shortened(whole, 0.3), whole]
    sides = [{"options": [[3, 4, 5], [6]]}] * 4
    together = [r["logprobs"] for r in model.tail(many, sides)]
    alone = [model.tail([s], sides[:1])[0]["logprobs"] for s in many]
    assert np.allclose(together, alone, atol=1e-5) and np.array_equal(together[0], together[3])
    assert not np.allclose(together[0], together[1]) and not np.allclose(together[1], together[2])


def test_a_layer_with_a_window_cannot_evict(tmp_path):
    tiny_gemma(tmp_path)
    model = models.build({"family": "causal_lm", "options": {"dtype": "float32"}}, tmp_path, "layer2")
    sample = shortened(model.head(prompts(1, vocabulary=128)[0])[0], 0.5)
    with pytest.raises(FeatureError, match="layer0 attends to a window"):
        model.tail([sample], [{"max_new_tokens": 2, "stop": []}])


def test_more_tokens_than_the_prompt_has_are_refused(tmp_path):
    tiny_llama(tmp_path)
    model = models.build({"family": "causal_lm", "options": {"dtype": "float32"}}, tmp_path, "layer2")
    sample = model.head(prompts(1, vocabulary=128)[0])[0]
    longer = sample | {k: np.concatenate([v, v], 1) for k, v in sample.items() if k != "output"}
    with pytest.raises(FeatureError, match=r"layer0: .* keys and .* values of a prompt of"):
        model.tail([longer], [{"max_new_tokens": 2, "stop": []}])


def test_a_target_is_a_rate_and_no_squared_error():
    parameters = {"keep": 0.5, "scales": "stream"}
    found = {}
    for name in ("evict", "uq-ec"):
        row = {"codec": name, "parameters": parameters if name == "evict" else {"scales": "stream"}}
        found[name] = rate_control.for_rate(row, [KEY, VALUE], {}, [cache(300)], 1.5)
        if name == "evict":
            with pytest.raises(ConfigError, match="where tokens are evicted there is no squared error"):
                rate_control.for_distortion(row, [KEY, VALUE], {}, [cache(30)], 0.1)
    assert found["evict"] < found["uq-ec"] / 2, "half of the tokens leave twice the bits for each"


def test_no_curve_without_a_tail_runs_a_codec_that_evicts():
    config = read_yaml(ROOT / "config/config.yaml") | {"arms": ["identity", "evict-knorm"]}
    pairs = Plan(config, ROOT).pairs
    assert {c.split(".")[1] for c, a in pairs if a == "evict-knorm"} == {"smollm2-135m", "audio-lm-small"}
    plan = Plan(config, ROOT)
    plan.models["smollm2-135m"] = plan.models["smollm2-135m"] | {"family": "hosted"}
    assert {c.split(".")[1] for c, a in plan.pairs if a == "evict-knorm"} == {"audio-lm-small"}
