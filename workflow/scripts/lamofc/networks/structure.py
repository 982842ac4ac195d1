"""Names and shapes of CompressAI's classes with one channel, which published checkpoints are compared with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate

import numpy as np
from compressai.layers import sequential_channel_ramp
from compressai.models import ScaleHyperprior, sensetime
from compressai.models.utils import conv, deconv
from torch import nn

from lamofc.convert import ConvertError

_MADE = re.compile(r"entropy_bottleneck\.|gaussian_conditional\.|\.mask$|_reparam\.|lower_bound")
_HYPER = "latent_codec.hyper."
_FIRST_CONTEXT = "latent_codec.y.channel_context.y1.0.weight"
_WIDTH_NOW = 224  # of a context's first layer since CompressAI 1.2.7


def checked(
    state: Mapping[str, np.ndarray], sizes: tuple[int, int] | None = None
) -> tuple[dict[str, np.ndarray], bool]:
    """Weights of a state dict, without what is made from them, and whether its class predicts means before scales.

    ConvertError unless names and shapes are those of ScaleHyperprior, Elic2022Official (as it is, or as it was up to
    CompressAI 1.2.6) or Elic2022Chandelier with these sizes (n, m), or with its own.
    """
    hyper = _HYPER if f"{_HYPER}h_a.0.weight" in state else ""
    if f"{hyper}h_a.0.weight" not in state:
        raise ConvertError(f"no {hyper}h_a.0.weight in it: a state dict of CompressAI's classes is wanted")
    n, m = sizes or state[f"{hyper}h_a.0.weight"].shape[:2]
    simple = bool(hyper) and len(state.get(f"{hyper}h_s.4.bias", ())) != 2 * n
    model = _elic(state, n, m, simple) if hyper else _one_channel(ScaleHyperprior(n, m), n, 6)
    wanted = {k: tuple(p.shape) for k, p in model.named_parameters() if not _MADE.search(k)}
    weights = {k: v for k, v in state.items() if not _MADE.search(k)}
    _same(weights, wanted)
    return weights, simple


def older_contexts(n: int, groups: list[int]) -> dict[str, nn.Module]:
    """Channel contexts of Elic2022Official up to CompressAI 1.2.6, by group: as wide as a line between both ends
    says, and at least n. With n 192, m 320 the network then has the 35.4 M weights that the paper counts."""
    layers = {"make_layer": nn.Conv2d, "make_act": nn.ReLU, "kernel_size": 5, "padding": 2}
    return {
        f"y{k}": sequential_channel_ramp(heard, 2 * groups[k], min_ch=n, num_layers=3, **layers)
        for k, heard in enumerate(accumulate(groups[:-1]), 1)
    }


def _elic(state: Mapping[str, np.ndarray], n: int, m: int, simple: bool) -> nn.Module:
    groups = [len(state[k]) // 2 for k in sorted(state) if re.search(r"\.y\d\.context_prediction\.bias$", k)]
    if sum(groups) != m:
        raise ConvertError(f"groups of {groups} channels are not {m} latents")
    model = (sensetime.Elic2022Chandelier if simple else sensetime.Elic2022Official)(n, m, groups)
    if not simple and len(state.get(_FIRST_CONTEXT, ())) != _WIDTH_NOW:
        model.latent_codec.y.channel_context.update(older_contexts(n, groups))
    return _one_channel(model, n, 14)


def _one_channel(model: nn.Module, n: int, last: int) -> nn.Module:
    model.g_a[0], model.g_s[last] = conv(1, n), deconv(n, 1)
    return model


def _same(weights: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]) -> None:
    for name in sorted(wanted.keys() | weights.keys()):
        have = weights[name].shape if name in weights else "nothing"
        if have != wanted.get(name, "nothing"):
            raise ConvertError(f"{name} has {have} where CompressAI's class has {wanted.get(name, 'nothing')}")
