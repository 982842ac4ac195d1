"""A small Stable Diffusion 3 with a ControlNet, of diffusers' classes: parts, losses they learn by, and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lamofc.training import word_tokens
from lamofc.training.drawings import Drawings, scaled


def autoencoder(settings: Mapping[str, Any]) -> nn.Module:
    from lamofc.models.strided_vae import StridedAutoencoder

    return StridedAutoencoder(**settings)


def autoencoder_loss(net: nn.Module, drawings: Drawings, rule: Mapping[str, Any], generator: torch.Generator):
    """Squared and absolute error, and a little of the divergence from a normal distribution; some rows are controls.

    What is drawn counts more than the ground, which is all that has the colour of the corner.
    """
    pick = torch.randint(len(drawings.images), (rule["rows"],), generator=generator)
    controls = int(rule["rows"] * rule["controls"])
    pixels = scaled(torch.cat([drawings.controls[pick[:controls]], drawings.images[pick[controls:]]]))
    posterior = net.encode(pixels).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator)
    error = net.decode(posterior.mean + posterior.std * noise).sample - pixels
    drawn = (pixels - pixels[..., :1, :1]).abs().amax(1, keepdim=True) > 0.1
    lost = (1 + rule["focus"] * drawn) * (error.square() + 0.3 * error.abs())
    return lost.mean() + rule["divergence"] * posterior.kl().mean() / noise[0].numel()


@torch.no_grad()
def latents(net: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """uint8 pixels -> means of the posterior, as the autoencoder gives them."""
    return torch.cat([net.encode(scaled(block)).latent_dist.mean for block in pixels.split(64)])


class Denoiser(nn.Module):
    """Text encoders, transformer and ControlNet, which learn together. The ControlNet has the form of SD3.5's: it reads
    no tokens of the text, and embeds patches with the transformer's own weights."""

    def __init__(self, settings: Mapping[str, Any], captions: Sequence[str]) -> None:
        super().__init__()
        from diffusers import SD3ControlNetModel, SD3Transformer2DModel
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel

        length = settings["text_tokens"]
        self.tokenizers = [word_tokens.clip(captions, length)] * 2 + [word_tokens.t5(captions, length)]
        vocabulary = len(self.tokenizers[0])
        clips = []
        for width in settings["clip_widths"]:
            clips.append(CLIPTextModelWithProjection(CLIPTextConfig(
                vocab_size=vocabulary, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
                num_attention_heads=4, projection_dim=width, max_position_embeddings=length, bos_token_id=0,
                eos_token_id=1, pad_token_id=1,
            )))  # fmt: skip
        self.clip, self.clip_2 = clips
        wide = settings["t5_width"]
        self.t5 = T5EncoderModel(T5Config(
            vocab_size=len(self.tokenizers[2]), d_model=wide, d_kv=wide // 4, d_ff=2 * wide, num_layers=2, num_heads=4,
            feed_forward_proj="gated-gelu", dropout_rate=0.0,
        ))  # fmt: skip
        shape = {k: settings[k] for k in ("sample_size", "patch_size", "in_channels", "attention_head_dim",
                                          "num_attention_heads")}  # fmt: skip
        width = settings["attention_head_dim"] * settings["num_attention_heads"]
        shape |= {"out_channels": settings["in_channels"], "caption_projection_dim": width, "qk_norm": "rms_norm",
                  "pooled_projection_dim": sum(settings["clip_widths"]),
                  "pos_embed_max_size": settings["sample_size"] // settings["patch_size"]}  # fmt: skip
        self.transformer = SD3Transformer2DModel(**shape, joint_attention_dim=wide, num_layers=settings["num_layers"])
        self.controlnet = SD3ControlNetModel(
            **shape, joint_attention_dim=None, num_layers=settings["control_layers"], use_pos_embed=False,
            pos_embed_type=None, force_zeros_for_pooled_projection=False,
        )  # fmt: skip
        self.controlnet.pos_embed = self.transformer.pos_embed  # as the pipeline does
        self.length = length

    def text(self, prompts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """-> tokens (n, 2 x length, width), pooled (n, width), laid out as the pipeline does."""
        ids = [t(list(prompts), padding="max_length", max_length=self.length, truncation=True,
                 return_tensors="pt").input_ids for t in self.tokenizers]  # fmt: skip
        outs = [net(i, output_hidden_states=True) for net, i in zip((self.clip, self.clip_2), ids, strict=False)]
        clip = torch.cat([o.hidden_states[-2] for o in outs], -1)
        wide = self.t5(ids[2])[0]
        clip = nn.functional.pad(clip, (0, wide.shape[-1] - clip.shape[-1]))
        return torch.cat([clip, wide], 1), torch.cat([o.text_embeds for o in outs], -1)

    def forward(self, noisy: torch.Tensor, when: torch.Tensor, prompts: Sequence[str], control: torch.Tensor):
        """when: in (0, 1), 1 all noise -> what the transformer predicts: noise less image."""
        distinct = sorted(set(prompts))
        tokens, pooled = (t[[distinct.index(p) for p in prompts]] for t in self.text(distinct))
        steps = 1000 * when
        added = self.controlnet(
            hidden_states=noisy, controlnet_cond=control, timestep=steps, pooled_projections=pooled, return_dict=False
        )[0]
        return self.transformer(
            hidden_states=noisy, timestep=steps, encoder_hidden_states=tokens, pooled_projections=pooled,
            block_controlnet_hidden_states=added, return_dict=False,
        )[0]  # fmt: skip


def flow_loss(
    net: Denoiser, images: torch.Tensor, controls: torch.Tensor, prompts: Sequence[Sequence[str]],
    rule: Mapping[str, Any], generator: torch.Generator,
) -> torch.Tensor:  # fmt: skip
    """Rectified flow (Liu et al. 2022, arXiv:2209.03003) with logit-normal times (Esser et al. 2024, arXiv:2403.03206).

    images, controls: scaled latents; prompts: for each image the captions that fit it. Some prompts are left empty, so
    that guidance has a negative one.
    """
    pick = torch.randint(len(images), (rule["rows"],), generator=generator)
    image, control = images[pick], controls[pick]
    words = torch.randint(len(prompts[0]), (rule["rows"],), generator=generator).tolist()
    empty = (torch.rand(rule["rows"], generator=generator) < rule["empty"]).tolist()
    asked = ["" if e else prompts[i][w] for i, w, e in zip(pick.tolist(), words, empty, strict=True)]
    noise = torch.randn(image.shape, generator=generator)
    when = torch.sigmoid(torch.randn(rule["rows"], generator=generator))
    share = when[:, None, None, None]
    return (net((1 - share) * image + share * noise, when, asked, control) - (noise - image)).square().mean()


def judge_loss(net: nn.Module, drawings: Drawings, rule: Mapping[str, Any], generator: torch.Generator):
    """Cross-entropies of colour and shape, on drawings with noise of random strength, so that small errors of a
    decoder do not decide."""
    pick = torch.randint(len(drawings.images), (rule["rows"],), generator=generator)
    strength = rule["noise"] * torch.rand(rule["rows"], 1, 1, 1, generator=generator)
    pixels = scaled(drawings.images[pick])
    logits = net(pixels + strength * torch.randn(pixels.shape, generator=generator))
    wanted = {"colour": drawings.colour, "shape": drawings.shape}
    return sum(nn.functional.cross_entropy(logits[k], wanted[k][pick]) for k in wanted)


def save(vae: nn.Module, net: Denoiser, folder: Path) -> None:
    """`pipeline/` and `controlnet/`, float16, as the published models are laid out."""
    from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

    StableDiffusion3Pipeline(
        transformer=net.transformer.half(), vae=vae.half(), scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        text_encoder=net.clip.half(), text_encoder_2=net.clip_2.half(), text_encoder_3=net.t5.half(),
        tokenizer=net.tokenizers[0], tokenizer_2=net.tokenizers[1], tokenizer_3=net.tokenizers[2],
    ).save_pretrained(folder / "pipeline")  # fmt: skip
    net.controlnet.pos_embed = None
    net.controlnet.half().save_pretrained(folder / "controlnet")
