"""Mask2Former (Cheng et al. 2022, arXiv:2112.01527) for semantic segmentation, on the classes of `transformers`.

DINOv3's published head runs the pixel decoder over all four levels, without the extra pyramid level that
the library's own pixel decoder has; the parts are the library's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import Mask2FormerConfig
from transformers.models.mask2former import modeling_mask2former as library

POINTS = 4


class Mask2FormerHead(nn.Module):
    """Maps of `width` channels, finest first -> weight of each class at each pixel (views, classes, *size).

    hidden: channels inside; feedforward, heads, queries: of its transformers; layers: of pixel decoder and decoder.
    """

    def __init__(
        self,
        width: int,
        classes: int = 150,
        hidden: int = 2048,
        feedforward: int = 4096,
        heads: int = 16,
        queries: int = 100,
        layers: tuple[int, int] = (6, 9),
    ) -> None:
        super().__init__()
        config = Mask2FormerConfig(
            feature_size=hidden, mask_feature_size=hidden, hidden_dim=hidden, encoder_feedforward_dim=feedforward,
            dim_feedforward=feedforward, num_attention_heads=heads, num_queries=queries, num_labels=classes,
            encoder_layers=layers[0], decoder_layers=layers[1] + 1,  # the library counts the prediction before them
        )  # fmt: skip
        self.pixel_decoder = PixelDecoder(config, width)
        self.transformer_module = library.Mask2FormerTransformerModule(hidden, config)
        self.class_predictor = nn.Linear(hidden, classes + 1)

    def forward(self, maps: Sequence[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        finest, levels = self.pixel_decoder(maps)
        out = self.transformer_module(levels, finest, output_hidden_states=True)
        classes = self.class_predictor(out.intermediate_hidden_states[-1].transpose(0, 1)).float().softmax(-1)[..., :-1]
        masks = out.masks_queries_logits[-1].float()
        masks = nn.functional.interpolate(masks, size, mode="bilinear", align_corners=False).sigmoid()
        return torch.einsum("vqc,vqhw->vchw", classes, masks)


class PixelDecoder(nn.Module):
    """Deformable attention over all levels, coarsest first. -> (map for the masks, the three coarsest levels)."""

    def __init__(self, config: Mask2FormerConfig, width: int, levels: int = 4) -> None:
        super().__init__()
        hidden = config.feature_size
        self.position = library.Mask2FormerSinePositionEmbedding(hidden // 2, normalize=True)
        self.level_embed = nn.Parameter(torch.zeros(levels, hidden))
        self.input_projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, hidden, 1), nn.GroupNorm(32, hidden)) for _ in range(levels)
        )
        self.encoder = library.Mask2FormerPixelDecoderEncoderOnly(config)
        for layer in self.encoder.layers:  # the library's layers are made for three levels
            layer.self_attn = library.Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention(
                hidden, config.num_attention_heads, levels, POINTS
            )
        self.mask_projection = nn.Conv2d(hidden, config.mask_feature_size, 1)

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        inputs = [p(m) for p, m in zip(self.input_projections, reversed(maps), strict=True)]
        shapes = [tuple(x.shape[-2:]) for x in inputs]
        places = [
            _flat(self.position(x.shape, x.device, x.dtype)) + e for x, e in zip(inputs, self.level_embed, strict=True)
        ]
        flat = torch.cat([_flat(x) for x in inputs], 1)
        encoded = self.encoder(
            inputs_embeds=flat,
            attention_mask=torch.zeros(flat.shape[:2], dtype=torch.bool, device=flat.device),
            position_embeddings=torch.cat(places, 1),
            spatial_shapes_list=shapes,
            level_start_index=None,
            valid_ratios=flat.new_ones(len(flat), len(shapes), 2),
            output_attentions=False,
            output_hidden_states=False,
            return_dict=True,
        ).last_hidden_state
        parts = encoded.split([h * w for h, w in shapes], 1)
        levels = [p.transpose(1, 2).unflatten(2, s) for p, s in zip(parts, shapes, strict=True)]
        return self.mask_projection(levels[-1]), levels[:3]


def _flat(maps: torch.Tensor) -> torch.Tensor:
    return maps.flatten(2).transpose(1, 2)
