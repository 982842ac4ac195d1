"""DINOv2 and DINOv3 as the hub publishes them, and the heads that come as files of torch.save.

The trunk's files are linked. Heads become <readout>.safetensors under the names of `lamofc.models.dino_readouts`:
  *linear_head*.pth   weight and bias over class token and mean patch token
  *dpt_head*.pth      the decoder of the depth model
  *m2f_head*.pth      adapter (segmentation_model.0) and Mask2Former head (segmentation_model.1)
A `classifier` among the trunk's own weights (DINOv2 with one layer) becomes the linear head.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.convert.pth_reader import read_pth
from lamofc.errors import FetchError

OPTIONS: tuple[str, ...] = ("sizes",)
_HEADS = {"linear-head": "*linear_head*.pth", "dpt": "*dpt_head*.pth", "mask2former": "*m2f_head*.pth"}
_M2F = [
    (r"segmentation_model\.0\.spm\.(stem|conv)", r"spatial_prior.\1"),
    (r"segmentation_model\.0\.", "adapter."),
    (r"segmentation_model\.1\.pixel_decoder\.input_proj\.", "head.pixel_decoder.input_projections."),
    (r"segmentation_model\.1\.pixel_decoder\.transformer\.", "head.pixel_decoder."),
    (r"segmentation_model\.1\.pixel_decoder\.mask_features\.", "head.pixel_decoder.mask_projection."),
    (r"(head\.pixel_decoder\.encoder\.layers\.\d+)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"(head\.pixel_decoder\.encoder\.layers\.\d+)\.norm2\.", r"\1.final_layer_norm."),
    (r"segmentation_model\.1\.predictor\.class_embed\.", "head.class_predictor."),
    (r"segmentation_model\.1\.predictor\.query_feat\.", "head.transformer_module.queries_features."),
    (r"segmentation_model\.1\.predictor\.query_embed\.", "head.transformer_module.queries_embedder."),
    (r"segmentation_model\.1\.predictor\.level_embed\.", "head.transformer_module.level_embed."),
    (r"segmentation_model\.1\.predictor\.decoder_norm\.", "head.transformer_module.decoder.layernorm."),
    (r"segmentation_model\.1\.predictor\.mask_embed\.layers\.(\d)\.",
     r"head.transformer_module.decoder.mask_predictor.mask_embedder.\1.0."),
    (r"segmentation_model\.1\.predictor\.transformer_(self|cross)_attention_layers\.(\d+)\.norm\.",
     r"head.transformer_module.decoder.layers.\2.\1_attn_layer_norm."),
    (r"segmentation_model\.1\.predictor\.transformer_self_attention_layers\.(\d+)\.",
     r"head.transformer_module.decoder.layers.\1."),
    (r"segmentation_model\.1\.predictor\.transformer_cross_attention_layers\.(\d+)\.multihead_attn\.",
     r"head.transformer_module.decoder.layers.\1.cross_attn."),
    (r"segmentation_model\.1\.predictor\.transformer_ffn_layers\.(\d+)\.norm\.",
     r"head.transformer_module.decoder.layers.\1.final_layer_norm."),
    (r"segmentation_model\.1\.predictor\.transformer_ffn_layers\.(\d+)\.",
     r"head.transformer_module.decoder.layers.\1."),
    (r"\.linear([12])\.", r".fc\1."),
]  # fmt: skip


def build(packages: Mapping[str, Path], folder: Path, sizes: Mapping[str, Any] | None = None) -> None:
    """sizes: per readout, sizes that differ from those of the 7B model's heads."""
    for package in packages.values():
        for path in sorted(p for p in Path(package).rglob("*") if p.is_file() and p.name != "fetched.json"):
            found = [name for name, pattern in _HEADS.items() if path.match(pattern)]
            if found:
                _write(folder, found[0], rename(found[0], read_pth(path)))
            elif path.suffix != ".pth":
                _link(path, folder / path.relative_to(package))
    if not (folder / "config.json").exists():
        raise FetchError(f"no file config.json in {', '.join(map(str, packages.values()))}; fetch the packages again")
    _own_classifier(folder)
    for name, facts in (sizes or {}).items():
        (folder / f"{name}.json").write_text(json.dumps(facts) + "\n")


def rename(readout: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Published names -> those of the readout's module."""
    if readout == "linear-head":
        return {f"linear.{k.rsplit('.', 1)[-1]}": v for k, v in arrays.items()}
    if readout == "dpt":
        return {f"head.{k.removeprefix('decoder.').removeprefix('head.')}": v for k, v in arrays.items()}
    named = {}
    for key, value in arrays.items():
        if key.startswith("segmentation_model.0.backbone."):
            continue
        for pattern, replacement in _M2F:
            key = re.sub("^" + pattern if pattern.startswith("seg") else pattern, replacement, key)
        named[key] = value
    return _split_attention(named)


def _split_attention(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One matrix for query, key and value -> three, where the library has three."""
    found = {}
    for key, value in arrays.items():
        match = re.fullmatch(r"(.*\.self_attn)\.in_proj_(weight|bias)", key)
        if match is None:
            found[key] = value
            continue
        for part, own in zip("qkv", np.split(value, 3), strict=True):
            found[f"{match[1]}.{part}_proj.{match[2]}"] = own
    return found


def _own_classifier(folder: Path) -> None:
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            own = {k.replace("classifier.", "linear."): k for k in file.keys() if k.startswith("classifier.")}  # noqa: SIM118
            if own:
                return _write(folder, "linear-head", {name: file.get_tensor(key) for name, key in own.items()})


def _write(folder: Path, readout: str, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    arrays = {k: v.astype(np.float32) if v.dtype.name == "bfloat16" else v for k, v in arrays.items()}
    save_file({k: np.array(v, order="C") for k, v in sorted(arrays.items())}, folder / f"{readout}.safetensors")


def _link(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(path.resolve())
