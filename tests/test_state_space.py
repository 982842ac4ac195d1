"""State-space models: the cut leaves no trace, the receiver goes on from the states it decoded, training is exact."""

from __future__ import annotations

import answers
import numpy as np
import pytest
import torch
from test_models import prompts, same

from lamofc import models
from lamofc.errors import ConfigError
from lamofc.features import check
from lamofc.tasks import measures

SIZES = {"vocab_size": 128, "hidden_size": 32, "state_size": 4, "num_hidden_layers": 5}
GREEDY = {"max_new_tokens": 6, "stop": [3]}
pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(folder, kind="FalconMamba", **options):
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SIZES, **options)
    getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(folder)
    return folder


def built(folder, split="layer2", **options):
    return models.build({"family": "state_space_lm", "options": options}, folder, split)


def assert_identity(model, inputs, side):
    """Batched and one by one, and specs that fit. Batches of unequal size round differently in their last bits."""
    for count in (len(inputs), 1):
        features = model.head(inputs[:count])
        for sample in features:
            check(sample, model.specs)
        assert same(model.tail(features, side[:count]), model.unsplit(inputs[:count], side[:count]))


@pytest.fixture(scope="module", params=["FalconMamba", "Mamba"])
def folder(request, tmp_path_factory):
    return tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_any_mamba_is_a_config_row(folder, dtype):
    model = built(folder, dtype=dtype)
    inputs, side = prompts(5, vocabulary=128)
    assert_identity(model, inputs, side)
    assert_identity(model, inputs, [GREEDY] * 5)


@pytest.mark.parametrize("options", [{"state_dtype": "float16"}, {"conv_width": "read"}])
@pytest.mark.parametrize("split", ["layer0", "layer3"])
def test_states_cross_in_the_dtype_and_width_that_are_asked_for(folder, options, split):
    model = built(folder, split, **options)
    inputs, side = prompts(3, vocabulary=128)
    assert_identity(model, inputs, side)
    (sample,) = model.head(inputs[:1])
    assert sample["output"].dtype == np.float32 and sample["layer0.ssm"].dtype == options.get("state_dtype", "float32")
    assert sample["layer0.conv"].shape == (64, 3 if "conv_width" in options else 4)
    assert [s.name for s in model.specs][:3] == ["output", "layer0.ssm", "layer0.conv"]


def test_the_tail_goes_on_as_the_library_does(folder):
    """Greedy text over received states is what the library's own generation writes from the prompt."""
    model = built(folder)
    (inputs,), _ = prompts(1, vocabulary=128)
    (output,) = model.tail(model.head([inputs]), [{"max_new_tokens": 8, "stop": []}])
    ids = torch.tensor(inputs["ids"])[None]
    text = model.net.generate(ids, do_sample=False, max_new_tokens=8, eos_token_id=None, pad_token_id=0)
    assert output["tokens"].tolist() == text[0, ids.shape[1] :].tolist()


def test_options_are_scored_as_a_whole_forward_pass_does(folder):
    model = built(folder)
    (inputs,), (side,) = prompts(1, vocabulary=128)
    (output,) = model.tail(model.head([inputs]), [side])
    for option, found in zip(side["options"], output["logprobs"], strict=True):
        ids = torch.tensor([[*inputs["ids"], *option]])
        with torch.inference_mode():
            table = model.net(ids).logits[0].float().log_softmax(-1)
        start = len(inputs["ids"]) - 1
        wanted = np.mean([float(table[start + i, t]) for i, t in enumerate(option)])
        assert found == pytest.approx(wanted, abs=1e-4)


def test_later_tokens_read_the_states(folder):
    """What is written after the prompt changes with the states of the head's layers, and with nothing left unsent."""
    model = built(folder)
    inputs, side = prompts(1, vocabulary=128)
    features = model.head(inputs)
    (clean,) = model.tail(features, side)
    for name in ("layer0.ssm", "layer2.conv"):
        changed = {k: v + 1 if k == name else v for k, v in features[0].items()}
        assert not np.array_equal(model.tail([changed], side)[0]["logprobs"], clean["logprobs"])
    unread = {k: v.copy() for k, v in features[0].items()}
    for name in unread:
        if name.endswith("conv"):
            unread[name][:, 0] = 99
    assert same(model.tail([unread], side)[0], clean), "the oldest input of the convolution is not read again"


def test_the_prompt_never_reads_the_head(folder):
    from lamofc.models.causal_lm import _stack_features

    model = built(folder)
    received = _stack_features(model.head(prompts(1, vocabulary=128)[0]))
    with torch.inference_mode():
        clean, _ = model.prefill(received)
        head, _ = model.parts()
        for parameter in (p for part in head for p in part.parameters()):
            parameter.fill_(float("nan"))
        poisoned, _ = model.prefill(received)
    assert torch.isfinite(clean).all() and torch.equal(clean, poisoned)


@pytest.mark.parametrize("side", [{"options": [[1, 2], [3]]}, GREEDY])
def test_gradients_reach_all_that_crosses(folder, side):
    from lamofc.models.causal_lm import _stack_features

    model = built(folder, split="layer1")
    received = {k: v.requires_grad_() for k, v in _stack_features(model.head(prompts(1, vocabulary=128)[0])).items()}
    feature = model.last_feature(received, [side])
    with torch.inference_mode():
        hidden, cache = model.prefill(received)
        written = torch.tensor([model._written(received, side)])
        plain = torch.cat([hidden[:, -1:], model._go_on(written, cache)], 1)
    torch.testing.assert_close(feature, plain, rtol=1e-4, atol=1e-4)
    gradients = torch.autograd.grad(feature.sum(), list(received.values()))
    assert all(torch.isfinite(g).all() and g.abs().max() > 0 for g in gradients)


@pytest.mark.parametrize("side", [{"options": [[1, 2], [3]]}, GREEDY])
def test_gradients_of_the_answer(folder, side):
    """Of options the very numbers that the tail gives."""
    from lamofc.models.torch_arrays import to_torch

    model = built(folder, split="layer1")
    (sample,) = model.head(prompts(1, vocabulary=128)[0])
    answers.check(model, measures.likelihood, sample, side)
    if "options" in side:
        with torch.no_grad():
            scores = model.scores({k: to_torch(v)[None] for k, v in sample.items()}, [side])[0]
        np.testing.assert_allclose(scores, model.tail([sample], [side])[0]["logprobs"], rtol=1e-3, atol=1e-4)


def test_training_computes_what_the_library_does(folder):
    from transformers import AutoModelForCausalLM

    from lamofc.training import mamba_forward

    net = AutoModelForCausalLM.from_pretrained(folder).train()
    ids = torch.randint(0, 128, (11, 18), generator=torch.Generator().manual_seed(0))  # more rows than go together
    found, plain = mamba_forward.logits(net, ids), net(input_ids=ids.T).logits.transpose(0, 1)
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)
    wanted = {}
    for logits in (plain, found):
        net.zero_grad()
        logits.log_softmax(-1).gather(2, ids[..., None]).sum().backward()
        gradients = {k: p.grad.clone() for k, p in net.named_parameters()}
        for name in wanted:
            torch.testing.assert_close(gradients[name], wanted[name], rtol=1e-3, atol=1e-3)
        wanted = gradients


def test_options_that_do_not_exist_are_refused(folder):
    with pytest.raises(ConfigError, match="conv_width 'all' is none of kernel, read"):
        built(folder, conv_width="all")


def test_shapes_and_dtypes_are_known_without_weights(folder):
    """The paper's model: float16 weights and states, the residual stream in float32."""
    model = built(folder, dtype="float16", device="meta")
    with torch.inference_mode():
        found = model.features({"inputs_embeds": torch.empty(2, 9, 32, dtype=torch.float16, device="meta")})
        hidden, _ = model.prefill(found)
    shapes = {s.name: (s.resolve(9), s.dtype) for s in model.specs}
    assert {k: (tuple(t.shape[1:]), str(t.dtype).removeprefix("torch.")) for k, t in found.items()} == shapes
    assert shapes["output"][1] == "float32" and shapes["layer2.ssm"] == shapes["layer1.conv"] == ((64, 4), "float16")
    assert hidden.is_meta and hidden.shape == (2, 9, 32)
