"""Device memory, work and time of a model's jobs, derived on the meta device: nothing is loaded, nothing computed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from lamofc.dtypes import bits_of
from lamofc.models.placing import parameters


class Facts(NamedTuple):
    """Of a model at its split point. Weights are counted once where shared; FLOPs are of one sample's prompt."""

    head_weights: int
    tail_weights: int
    model_bytes: int  # head and tail
    feature_bytes: int  # of one sample, uncompressed
    cache_bytes: int  # of one sample at its longest: caches or states of all layers
    head_flops: int
    tail_flops: int


class Device(NamedTuple):
    """flops: peak of the dtype per second; bandwidth: of its memory, bytes a second; disk: bytes a second at which
    weights are read; used: share of both peaks that a plain PyTorch run reaches, an assumption."""

    name: str
    memory_gb: float
    flops: float
    bandwidth: float
    disk: float = 1e9
    used: float = 0.4


DEVICES = (
    Device("24 GB consumer GPU", 24, 165e12, 1.0e12),
    Device("40 GB data centre GPU", 40, 312e12, 1.55e12),
    Device("80 GB data centre GPU", 80, 990e12, 3.35e12),
)


def blank_prompt(model: Any, batch: int, tokens: int) -> dict[str, torch.Tensor]:
    """Keyword arguments of a decoder for `tokens` positions without content, on the model's device."""
    width = model.net.get_input_embeddings().embedding_dim
    dtype = next(model.net.parameters()).dtype
    return {"inputs_embeds": torch.empty(batch, tokens, width, dtype=dtype, device=model.device)}


@torch.inference_mode()
def derive(model: Any, tokens: int, new_tokens: int) -> Facts:
    """Facts of a language model on the meta device for a prompt of `tokens` and `new_tokens` after it."""
    head, tail = model.parts()
    with FlopCounterMode(display=False) as first:
        for module, argument in getattr(model, "blank_sound", list)():
            module(argument)
        received = model.features(blank_prompt(model, 1, tokens))
    with FlopCounterMode(display=False) as second:
        model.prefill(received)
    weights = {id(p): p for m in (*head, *tail) for p in m.parameters()}.values()
    return Facts(
        parameters(*head),
        parameters(*tail),
        sum(p.numel() * p.element_size() for p in weights),
        _feature_bytes(model, tokens),
        _cache_bytes(model, tokens + new_tokens),
        first.get_total_flops(),
        second.get_total_flops(),
    )


def _feature_bytes(model: Any, tokens: int) -> int:
    return sum(int(np.prod(s.resolve(tokens))) * bits_of(s.dtype) // 8 for s in model.specs)


def _cache_bytes(model: Any, tokens: int) -> int:
    """Caches of all layers, from those of the layers in front of the split."""
    front = [s for s in model.specs if s.name != "output"]
    size = sum(int(np.prod(s.resolve(tokens))) * bits_of(s.dtype) // 8 for s in front)
    return size * model.net.config.num_hidden_layers // len({s.layer for s in front})


def memory_gb(facts: Facts, batch: int) -> float:
    """Weights, features and caches of a batch, and a tenth of the weights for activations and the allocator."""
    return (1.1 * facts.model_bytes + batch * (facts.feature_bytes + facts.cache_bytes)) / 1e9


def extract_hours(facts: Facts, device: Device, samples: int, new_tokens: int, batch: int) -> float:
    """Head and unsplit model over the test samples; calibration samples are few."""
    work = samples * (2 * facts.head_flops + facts.tail_flops)
    return _hours(facts, device, work, samples, new_tokens, batch)


def evaluate_hours(facts: Facts, device: Device, samples: int, points: int, new_tokens: int, batch: int) -> float:
    """Tail over all points of a ladder; the weights are read once."""
    return _hours(facts, device, samples * points * facts.tail_flops, samples * points, new_tokens, batch)


def _hours(facts: Facts, device: Device, work: int, runs: int, new_tokens: int, batch: int) -> float:
    """Prompts are bound by arithmetic, steps after them by reading all weights once per batch and step."""
    prompts = work / (device.flops * device.used)
    steps = runs / batch * new_tokens * facts.model_bytes / (device.bandwidth * device.used)
    return (prompts + steps + facts.model_bytes / device.disk) / 3600
