"""Causal language models with a KV cache (any Hugging Face decoder), cut after a decoder layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, DynamicCache
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models import evicted, placing
from lamofc.models.decoding import greedy, kind
from lamofc.models.torch_arrays import map_batches, to_numpy, to_torch


class Model:
    """Head: embedding and decoder layers 0..l. Tail: layers l+1.. and the language head.

    Features: `output` (tokens, width) after layer l, and `layer<i>.key`, `layer<i>.value`
    (kv_heads, tokens, head_dim) of layers 0..l. After the prompt the receiver continues with the whole
    model on its own tokens, over the caches it decoded and then extends; what a codec evicted from them it does not
    see. Side: token ids of the answer options, or how many tokens to write at most and which ones end the text.
    """

    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str | None = None,
        readout_weights: Path | None = None,
        dtype: str = "bfloat16",
        batch: int = 16,
        device: str = "cpu",
        device_map: Any = None,
    ) -> None:
        self.net = load_net(weights, dtype, device, device_map)
        self.base, self.batch, self.dtype = self.net.get_decoder(), batch, dtype
        config = self.net.config.get_text_config()
        self.cut = parse_split(split, config.num_hidden_layers)
        self.specs = tensor_specs(config, self.cut, dtype)
        self._layers = self.base.layers

    @property
    def device(self) -> torch.device:
        """Where prompts and features are put: a spread model takes them from there to where they are read."""
        return placing.runs_on(self.net.get_input_embeddings())

    def head(self, inputs: Sequence[dict[str, Any]]) -> list[Sample]:
        """inputs: {"ids": int64 (tokens,)}."""
        return map_batches(inputs, lambda i: len(i["ids"]), self.batch, self._head)

    def tail(self, features: Sequence[Sample], side: Sequence[dict[str, Any]]) -> list[Any]:
        """side: {"options": lists of token ids} -> {"choice", "logprobs"}, log-likelihood per token; or
        {"max_new_tokens", "stop": token ids} -> {"tokens", "candidates", "logprobs"} of greedy decoding."""
        pairs = list(zip(features, side, strict=True))
        return map_batches(pairs, lambda p: (_lengths(p[0]), kind(p[1])), self.batch, self._tail)

    def unsplit(self, inputs: Sequence[dict[str, Any]], side: Sequence[dict[str, Any]]) -> list[Any]:
        pairs = list(zip(inputs, side, strict=True))
        return map_batches(pairs, lambda p: (len(p[0]["ids"]), kind(p[1])), self.batch, self._unsplit)

    @torch.inference_mode()
    def _head(self, inputs: list[dict[str, Any]]) -> list[Sample]:
        arrays = {name: to_numpy(t) for name, t in self.features(self._prompt(inputs)).items()}
        return [{name: a[row] for name, a in arrays.items()} for row in range(len(inputs))]

    def _prompt(self, inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """The decoder's keyword arguments that hold the prompts of a batch."""
        return {"input_ids": _stack_ids(inputs).to(self.device)}

    def _own(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """The decoder's keyword arguments that hold tokens (batch, tokens) after the prompt."""
        return {"input_ids": ids.to(self.device)}

    def features(self, prompt: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A batch of prompts -> what crosses the split, with a batch axis in front."""
        cache = DynamicCache()  # keeps every position: a sliding-window layer's own cache would drop the early ones
        with self._layers_replaced(self._layers[: self.cut + 1], norm=nn.Identity()):
            tensors = {"output": self.base(**prompt, past_key_values=cache, use_cache=True).last_hidden_state}
        for i in range(self.cut + 1):
            tensors[f"layer{i}.key"], tensors[f"layer{i}.value"] = cache.layers[i].keys, cache.layers[i].values
        return tensors

    def parts(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Modules that the head needs, and those that the tail needs for the prompt; both overlap where weights are
        tied. To go on after the prompt the receiver holds the whole decoder."""
        head = [self.net.get_input_embeddings(), *self._layers[: self.cut + 1]]
        return head, [*self._layers[self.cut + 1 :], self.base.norm, self.net.get_output_embeddings()]

    @torch.inference_mode()
    def _tail(self, pairs: list[tuple[Sample, dict[str, Any]]]) -> list[Any]:
        hidden, cache = self.prefill(_stack_features([f for f, _ in pairs], self.device))
        return self._answer(hidden, cache, [s for _, s in pairs])

    def prefill(self, received: dict[str, torch.Tensor]) -> tuple[torch.Tensor, evicted.Cache]:
        """Batched features -> last hidden states (batch, tokens, width) and the full cache. Keys and values of a layer
        may have fewer tokens than `output`."""
        cache = evicted.Cache(self.net.config)
        stubs = [_Received(received, i, self.cut, placing.runs_on(self._layers[i])) for i in range(self.cut + 1)]
        with self._layers_replaced([*stubs, *self._layers[self.cut + 1 :]]):
            blank = torch.zeros_like(received["output"])
            out = self.base(inputs_embeds=blank, past_key_values=cache, use_cache=True)
        return out.last_hidden_state, cache

    def last_feature(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> last hidden states of the final prompt token and of what is written
        after it, with gradients: all that the language head reads. One sample at a time."""
        with torch.no_grad():
            ids = torch.tensor([self._written(received, s) for s in side])
        return self._last_states(received, ids)

    @torch.no_grad()
    def held(self, received: dict[str, torch.Tensor], side: dict[str, Any]) -> dict[str, Any]:
        """A side with which `last_feature` of other features follows the text that is written after these."""
        return side | {"written": self._written(received, side)}

    def _last_states(self, received: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
        hidden, cache = self.prefill(received)
        last = hidden[:, -1:]
        return torch.cat([last, self._follow(ids.to(self.device), cache)], 1) if ids.shape[1] else last

    def scores(self, received: dict[str, torch.Tensor], side: Sequence[dict[str, Any]]) -> torch.Tensor:
        """Batched features -> log-probabilities of the options (1, options), or of all tokens where each of the
        model's own text stands (1, tokens, vocabulary), with gradients. One sample at a time."""
        if "options" in side[0]:
            logprobs, (options,) = self._of_options(*self.prefill(received), side, self._follow)
            return torch.stack([row[: len(o)].mean() for row, o in zip(logprobs, options, strict=True)])[None]
        with torch.no_grad():
            ids = torch.tensor([self._written(received, s) for s in side])
        return self._logprobs(self._last_states(received, ids[:, :-1]))

    def _written(self, received: dict[str, torch.Tensor], side: dict[str, Any]) -> list[int]:
        """The tokens after the prompt: those of all options, one after another, those that `held` wrote down, or the
        model's own text."""
        if "written" in side:
            return side["written"]
        if "options" in side:
            return [t for option in side["options"] for t in option]
        (answer,) = self._answer(*self.prefill(received), [side])
        return answer["tokens"].tolist()

    @torch.inference_mode()
    def _unsplit(self, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Any]:
        cache = DynamicCache(config=self.net.config)
        out = self.base(**self._prompt([i for i, _ in pairs]), past_key_values=cache, use_cache=True)
        return self._answer(out.last_hidden_state, cache, [s for _, s in pairs])

    def _answer(self, hidden: torch.Tensor, cache: DynamicCache, side: list[dict[str, Any]]) -> list[Any]:
        if "options" in side[0]:
            return self._choose(hidden, cache, side)

        def step(ids: torch.Tensor) -> torch.Tensor:
            return self._logprobs(self._go_on(ids, cache)[:, -1])

        return greedy(self._logprobs(hidden[:, -1]), step, side)

    def _choose(self, hidden: torch.Tensor, cache: DynamicCache, side: list[dict[str, Any]]) -> list[Any]:
        table, options = self._of_options(hidden, cache, side, self._go_on)
        table, count = table.cpu(), len(options[0])
        scores = [
            [float(table[i * count + j, : len(o)].mean()) for j, o in enumerate(row)] for i, row in enumerate(options)
        ]
        return [{"choice": int(np.argmax(s)), "logprobs": np.asarray(s, np.float32)} for s in scores]

    def _of_options(
        self, hidden: torch.Tensor, cache: DynamicCache, side: Sequence[dict[str, Any]], go_on: Callable[..., Any]
    ) -> tuple[torch.Tensor, list[list[list[int]]]]:
        """Log-probabilities (batch * options, tokens) of the tokens of all options after the cache; the options."""
        options = [[list(map(int, o)) for o in s["options"]] for s in side]
        count, width = len(options[0]), max(len(o) for row in options for o in row)
        ids = torch.tensor([o + [0] * (width - len(o)) for row in options for o in row]).to(self.device)
        first = self._logprobs(hidden[:, -1]).repeat_interleave(count, 0)  # (batch * options, vocabulary)
        self._repeat(cache, count)
        later = go_on(ids, cache)[:, : width - 1]
        table = torch.cat([first[:, None], self._logprobs(later)], 1)
        return table.gather(2, ids.to(table.device)[..., None])[..., 0], options

    def _go_on(self, ids: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        """Token ids (batch, tokens) after what the cache holds -> last hidden states (batch, tokens, width)."""
        if getattr(cache, "empty", None):
            with self._layers_replaced(cache.blinded(self._layers)):
                return self._over(ids, cache)
        return self._over(ids, cache)

    def _over(self, ids: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        return self.base(**self._own(ids), past_key_values=cache, use_cache=True).last_hidden_state

    def _follow(self, ids: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        """As `_go_on`, with gradients."""
        return self._go_on(ids, cache)

    def _repeat(self, cache: DynamicCache, count: int) -> None:
        """Every row of the cache `count` times."""
        cache.batch_repeat_interleave(count)

    def _logprobs(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.net.get_output_embeddings()(hidden).float().log_softmax(-1)

    @contextmanager
    def _layers_replaced(self, layers: Sequence[nn.Module], norm: nn.Module | None = None):
        """The library's own forward pass, over other layers."""
        kept_norm = self.base.norm
        self.base.layers = nn.ModuleList(layers)
        self.base.norm = norm or kept_norm
        try:
            yield
        finally:
            self.base.layers, self.base.norm = self._layers, kept_norm


def load_net(weights: Path, dtype: str, device: str, device_map: Any = None) -> nn.Module:
    """The causal language model of a folder's config.json. ConfigError if `transformers` has none of its kind."""
    config = AutoConfig.from_pretrained(weights, local_files_only=True)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ConfigError(f"{weights}/config.json: model_type {config.model_type!r} is no causal language model")
    kind = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    return placing.load(kind, weights, dtype, device, device_map, attn_implementation="sdpa")


class _Received(nn.Module):
    """Stands where a head layer stood: puts the received K and V into the cache, the received output out.

    device: where that layer runs, which meets its cache again after the prompt.
    """

    def __init__(self, received: dict[str, torch.Tensor], layer: int, cut: int, device: torch.device) -> None:
        super().__init__()
        self.pair = [received[f"layer{layer}.{kind}"].to(device) for kind in ("key", "value")]
        self.layer, self.output = layer, received["output"] if layer == cut else None
        self.attention_type = "full_attention"

    def forward(self, hidden: torch.Tensor, *args: Any, past_key_values: evicted.Cache, **kwargs: Any) -> torch.Tensor:
        past_key_values.take(*self.pair, self.layer, hidden.shape[1])
        return hidden if self.output is None else self.output


def tensor_specs(config: Any, cut: int, dtype: str) -> list[TensorSpec]:
    """What crosses a split after layer `cut`, from the configuration alone."""
    heads = config.num_key_value_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    specs = [TensorSpec("output", "tokens", dtype, (None, config.hidden_size), cut)]
    for i in range(cut + 1):
        shape, rope = (heads, None, width), _rope(config, i)
        specs.append(TensorSpec(f"layer{i}.key", "key", dtype, shape, i, rope))
        specs.append(TensorSpec(f"layer{i}.value", "value", dtype, shape, i))
    return specs


def _rope(config: Any, layer: int) -> dict[str, float]:
    """{"rope_theta"} of a layer whose rotary embedding is the plain one; {} if it is scaled or absent."""
    rope = getattr(config, "rope_parameters", None) or {}
    if rope and "rope_theta" not in rope:  # one set per attention type
        rope = rope.get(config.layer_types[layer], {})
    plain = rope.get("rope_type", "default") == "default"
    return {"rope_theta": float(rope["rope_theta"])} if plain and "rope_theta" in rope else {}


def parse_split(split: str, depth: int) -> int:
    """ "layer4" -> 4; ConfigError unless 0 <= layer < depth - 1."""
    number = split.removeprefix("layer")
    if not split.startswith("layer") or not number.isdecimal() or int(number) >= depth - 1:
        raise ConfigError(f"split {split!r}: write layer<l> with l from 0 to {depth - 2}")
    return int(number)


def _stack_ids(inputs: list[dict[str, Any]]) -> torch.Tensor:
    return torch.tensor(np.stack([np.asarray(i["ids"], np.int64) for i in inputs]))


def _lengths(sample: Sample) -> tuple[int, ...]:
    """Tokens of each tensor: a batch has one of each."""
    return tuple(array.shape[-2] for array in sample.values())


def _stack_features(features: list[Sample], device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
    """A batch's features on the device, one transfer per tensor."""
    return {name: to_torch(np.stack([f[name] for f in features]), device) for name in features[0]}
