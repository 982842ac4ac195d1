"""Caches that lack tokens of the prompt: layers that go on from them without seeing the places left empty.

Empty places, rather than shorter caches, keep the positions and masks that the library gives out right for all layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad
from transformers import DynamicCache

from lamofc.errors import FeatureError


class Cache(DynamicCache):
    """A cache of which some layers hold fewer tokens of the prompt than it has.

    empty: layer -> places that hold nothing, of those the prompt takes.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config=config)
        self.empty: dict[int, slice] = {}

    def take(self, key: torch.Tensor, value: torch.Tensor, layer: int, tokens: int) -> None:
        """Put what was received, (batch, heads, tokens or fewer, head_dim), where a prompt's tokens would be.

        FeatureError if more came than the prompt has, if key and value differ, or if the layer attends to a window.
        """
        held = key.shape[2]
        if value.shape[2] != held or held > tokens:
            raise FeatureError(f"layer{layer}: {held} keys and {value.shape[2]} values of a prompt of {tokens} tokens")
        if held < tokens:
            if getattr(self.layers[layer], "is_sliding", False):
                raise FeatureError(f"layer{layer} attends to a window of positions: no token of it can be evicted")
            self.empty[layer] = slice(held, tokens)
            key, value = (pad(t, (0, 0, 0, tokens - held)) for t in (key, value))
        self.update(key, value, layer)

    def blinded(self, layers: Sequence[nn.Module]) -> list[nn.Module]:
        """The decoder's layers, those with empty places made blind for them."""
        return [Blind(layer, i, self.empty[i]) if i in self.empty else layer for i, layer in enumerate(layers)]


class Blind(nn.Module):
    """A decoder layer (any of Hugging Face's) that gives no weight to some places of its cache."""

    def __init__(self, layer: nn.Module, index: int, places: slice) -> None:
        super().__init__()
        self.layer, self.index, self.places = layer, index, places
        self.attention_type = getattr(layer, "attention_type", "full_attention")

    def forward(
        self,
        hidden: torch.Tensor,
        *args: Any,
        past_key_values: DynamicCache,
        attention_mask: torch.Tensor | None = None,
        **options: Any,
    ) -> Any:
        if attention_mask is None:  # plain causal attention
            seen, new = past_key_values.get_seq_length(self.index), hidden.shape[1]
            attention_mask = torch.ones(new, seen + new, dtype=torch.bool, device=hidden.device).tril(seen)[None, None]
        mask = attention_mask.clone()
        mask[..., self.places] = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        return self.layer(hidden, *args, past_key_values=past_key_values, attention_mask=mask, **options)
