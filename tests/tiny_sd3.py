"""A Stable Diffusion 3 pipeline of random weights, kilobytes in size, saved as the published ones are."""

from __future__ import annotations

import string
from pathlib import Path

import torch


def save(folder: Path, control: str) -> None:
    """control: "sd35" (shares the transformer's positions, reads no text) or "sd3" (reads the text)."""
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3ControlNetModel,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    torch.manual_seed(0)
    shape = {"sample_size": 16, "patch_size": 2, "in_channels": 4, "out_channels": 4, "attention_head_dim": 8,
             "num_attention_heads": 4, "caption_projection_dim": 32, "pooled_projection_dim": 40,
             "pos_embed_max_size": 16}  # fmt: skip
    parts = {
        "transformer": SD3Transformer2DModel(**shape, joint_attention_dim=64, num_layers=2, qk_norm="rms_norm"),
        "vae": AutoencoderKL(block_out_channels=(8, 16), down_block_types=["DownEncoderBlock2D"] * 2,
                             up_block_types=["UpDecoderBlock2D"] * 2, layers_per_block=1, latent_channels=4,
                             norm_num_groups=4, scaling_factor=1.5, shift_factor=0.06, use_quant_conv=False,
                             use_post_quant_conv=False),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        **_text(),
    }  # fmt: skip
    StableDiffusion3Pipeline(**parts).save_pretrained(folder / "pipeline")
    own = {"sd35": {"joint_attention_dim": None, "use_pos_embed": False, "pos_embed_type": None,
                    "force_zeros_for_pooled_projection": False},
           "sd3": {"joint_attention_dim": 64}}[control]  # fmt: skip
    net = SD3ControlNetModel(**shape, **own, num_layers=1)
    for parameter in net.parameters():  # as made, a ControlNet adds nothing
        torch.nn.init.normal_(parameter, std=0.2)
    net.save_pretrained(folder / "controlnet")
    if control == "sd3":  # the class had this name when the published one was saved
        path = folder / "controlnet/config.json"
        path.write_text(path.read_text().replace('"SD3ControlNetModel"', '"ControlNetSD3Model"'))


def save_judge(folder: Path) -> None:
    """A CLIP model with the same tokenizer."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = sizes | {"vocab_size": len(_vocabulary()), "max_position_embeddings": 12, "bos_token_id": 0,
                    "eos_token_id": 1, "pad_token_id": 1}  # fmt: skip
    vision = sizes | {"image_size": 32, "patch_size": 16}
    net = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    net.save_pretrained(folder)
    CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=12).save_pretrained(folder)


def _vocabulary() -> dict[str, int]:
    letters = [*string.ascii_lowercase, *(c + "</w>" for c in string.ascii_lowercase)]
    return {t: i for i, t in enumerate(["<|startoftext|>", "<|endoftext|>", *letters])}


def _text() -> dict:
    from transformers import (
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
        T5Config,
        T5EncoderModel,
        T5TokenizerFast,
    )

    vocabulary = _vocabulary()
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((c, -3.0) for c in string.ascii_lowercase)]
    parts = {}
    for end, width in (("", 16), ("_2", 24)):
        config = CLIPTextConfig(vocab_size=len(vocabulary), hidden_size=width, intermediate_size=32,
                                num_hidden_layers=2, num_attention_heads=2, projection_dim=width, bos_token_id=0,
                                max_position_embeddings=12, eos_token_id=1, pad_token_id=1)  # fmt: skip
        parts[f"text_encoder{end}"] = CLIPTextModelWithProjection(config)
        parts[f"tokenizer{end}"] = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=12)
    t5 = T5Config(vocab_size=len(pieces), d_model=64, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
                  feed_forward_proj="gated-gelu")  # fmt: skip
    parts["text_encoder_3"] = T5EncoderModel(t5)
    parts["tokenizer_3"] = T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=10)
    return parts
