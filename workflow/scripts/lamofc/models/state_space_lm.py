"""State-space language models (Hugging Face Mamba and FalconMamba classes), cut after a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, DynamicCache
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from lamofc.errors import ConfigError
from lamofc.interfaces import Sample, TensorSpec
from lamofc.models import causal_lm, mamba_step, placing
from lamofc.models.torch_arrays import to_numpy, torch_dtype

WIDTHS = ("kernel", "read")


class Model(causal_lm.Model):
    """Head: embedding and layers 0..l. Tail: layers l+1.. and the language head.

    Features: `output` (tokens, width) after layer l, in the dtype of the residual stream (float32 where the model's
    configuration keeps it so), and `layer<i>.ssm` (inner, state), `layer<i>.conv` (inner, taps) of layers 0..l after
    the last prompt token. The receiver goes on with the whole model over the states it decoded, token by token.

    state_dtype: what all layers' states are kept in after the prompt, in the unsplit model too; by default that of
    the weights, as the models were published (the library keeps ssm in float32).
    conv_width: `kernel` sends the convolution's inputs as the library's cache holds them, as many as the kernel is
    wide; `read` leaves out the oldest, which no later token reads.
    """

    def __init__(
        self,
        weights: Path,
        split: str,
        readout: str | None = None,
        readout_weights: Path | None = None,
        dtype: str = "float32",
        batch: int = 16,
        state_dtype: str | None = None,
        conv_width: str = "kernel",
        device: str = "auto",
        device_map: Any = None,
    ) -> None:
        if conv_width not in WIDTHS:
            raise ConfigError(f"conv_width {conv_width!r} is none of {', '.join(WIDTHS)}")
        kind = MODEL_FOR_CAUSAL_LM_MAPPING[type(AutoConfig.from_pretrained(weights, local_files_only=True))]
        self.net = placing.load(kind, weights, dtype, device, device_map)
        self.base, self.batch, self.dtype = self.net.backbone, batch, dtype
        self.cut = causal_lm.parse_split(split, self.net.config.num_hidden_layers)
        self.state_dtype = torch_dtype(state_dtype or dtype)
        self.taps = self.net.config.conv_kernel - (conv_width == "read")
        self.specs = tensor_specs(self.net.config, self.cut, dtype, state_dtype or dtype, self.taps)
        self._layers = self.base.layers

    @torch.inference_mode()
    def _head(self, inputs: list[dict[str, Any]]) -> list[Sample]:
        arrays = {name: to_numpy(t) for name, t in self.features(self._prompt(inputs)).items()}
        return [{name: a[row] for name, a in arrays.items()} for row in range(len(inputs))]

    def _prompt(self, inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = torch.tensor(np.stack([np.asarray(i["ids"], np.int64) for i in inputs]))
        return {"input_ids": ids.to(self.device)}

    def features(self, prompt: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A batch of prompts -> what crosses the split, with a batch axis in front."""
        cache = DynamicCache(config=self.net.config)
        with self._layers_replaced(self._layers[: self.cut + 1], norm=nn.Identity()):
            tensors = {"output": self.base(**prompt, cache_params=cache, use_cache=True).last_hidden_state}
        for i in range(self.cut + 1):
            tensors[f"layer{i}.ssm"] = cache.layers[i].recurrent_states[0].to(self.state_dtype)
            tensors[f"layer{i}.conv"] = cache.layers[i].conv_states[0][..., -self.taps :].to(self.state_dtype)
        return tensors

    def parts(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Modules that the head needs, and those that the tail needs for the prompt; to go on after the prompt the
        receiver holds all of them."""
        head = [self.base.embeddings, *self._layers[: self.cut + 1]]
        return head, [*self._layers[self.cut + 1 :], self.base.norm_f, self.net.get_output_embeddings()]

    def prefill(self, received: dict[str, torch.Tensor]) -> tuple[torch.Tensor, DynamicCache]:
        """Batched features -> last hidden states (batch, tokens, width) and the states of all layers."""
        cache = DynamicCache(config=self.net.config)
        kernel = self.net.config.conv_kernel
        places = [placing.runs_on(layer) for layer in self._layers[: self.cut + 1]]
        stubs = [_Received(received, i, self.cut, kernel, place) for i, place in enumerate(places)]
        with self._layers_replaced([*stubs, *self._layers[self.cut + 1 :]]):
            blank = torch.zeros_like(received["output"])
            hidden = self.base(inputs_embeds=blank, cache_params=cache, use_cache=True).last_hidden_state
        return hidden, self._kept(cache)

    @torch.inference_mode()
    def _unsplit(self, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Any]:
        cache = DynamicCache(config=self.net.config)
        out = self.base(**self._prompt([i for i, _ in pairs]), cache_params=cache, use_cache=True)
        return self._answer(out.last_hidden_state, self._kept(cache), [s for _, s in pairs])

    def _kept(self, cache: DynamicCache) -> DynamicCache:
        _each(cache, lambda state: state.to(self.state_dtype))
        return cache

    def _repeat(self, cache: DynamicCache, count: int) -> None:
        _each(cache, lambda state: state.repeat_interleave(count, 0))

    def _go_on(self, ids: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        """The library starts a scan over several tokens from an empty state, so that they go one by one."""
        steps = [self.base(input_ids=i, cache_params=cache, use_cache=True).last_hidden_state for i in ids.split(1, 1)]
        return torch.cat(steps, 1)

    def _logprobs(self, hidden: torch.Tensor) -> torch.Tensor:
        return super()._logprobs(hidden.to(self.net.lm_head.weight.dtype))  # the residual stream may be wider

    def _follow(self, ids: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        """The library's own steps would overwrite the states that gradients need."""
        states = [(layer.conv_states[0], layer.recurrent_states[0]) for layer in cache.layers]
        found = []
        for token in ids.unbind(1):
            x = self.base.embeddings(token)
            for i, block in enumerate(self._layers):
                x = x.to(placing.runs_on(block))
                y, *states[i] = mamba_step.step(block.mixer, block.norm(x), *states[i])
                x = x + y
            found.append(self.base.norm_f(x))
        return torch.stack(found, 1)

    @contextmanager
    def _layers_replaced(self, layers: Sequence[nn.Module], norm: nn.Module | None = None):
        """The library's own forward pass, over other layers."""
        kept_norm = self.base.norm_f
        self.base.layers, self.base.norm_f = nn.ModuleList(layers), norm or kept_norm
        try:
            yield
        finally:
            self.base.layers, self.base.norm_f = self._layers, kept_norm


class _Received(nn.Module):
    """Stands where a head layer stood: puts the received states into the cache of the device that it runs on, the
    received output out."""

    def __init__(
        self, received: dict[str, torch.Tensor], layer: int, cut: int, kernel: int, device: torch.device
    ) -> None:
        super().__init__()
        conv = received[f"layer{layer}.conv"].to(device)
        self.ssm, self.conv = (
            received[f"layer{layer}.ssm"].to(device),
            functional.pad(conv, (kernel - conv.shape[-1], 0)),
        )
        self.layer, self.output = layer, received["output"] if layer == cut else None

    def forward(self, hidden: torch.Tensor, cache_params: DynamicCache, **kwargs: Any) -> torch.Tensor:
        cache_params.update_conv_state(self.conv, self.layer, conv_kernel_size=self.conv.shape[-1])
        cache_params.update_recurrent_state(self.ssm, self.layer)
        return hidden if self.output is None else self.output


def _each(cache: DynamicCache, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    for layer in cache.layers:
        for states in (layer.recurrent_states, layer.conv_states):
            states[0] = change(states[0])


def tensor_specs(config: Any, cut: int, dtype: str, state_dtype: str, taps: int) -> list[TensorSpec]:
    """What crosses a split after layer `cut`, from the configuration alone."""
    residual = "float32" if config.residual_in_fp32 else dtype
    specs = [TensorSpec("output", "tokens", residual, (None, config.hidden_size), cut)]
    for i in range(cut + 1):
        specs.append(TensorSpec(f"layer{i}.ssm", "ssm", state_dtype, (config.intermediate_size, config.state_size), i))
        specs.append(TensorSpec(f"layer{i}.conv", "conv", state_dtype, (config.intermediate_size, taps), i))
    return specs
