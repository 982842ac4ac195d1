"""A CLIP model that judges images: features of an image and of a text in one space."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from lamofc.errors import ConfigError


class ImageJudge:
    """folder: a CLIP model as `transformers` saves it, with its tokenizer. Loaded on first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.text = lru_cache(maxsize=4096)(self._text)

    @property
    def parts(self):
        return _load(self.folder)

    def image(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (height, width, 3) -> float32 (features,)."""
        import torch
        from PIL import Image

        from lamofc.datasets.pictures import square

        net, _ = self.parts
        side = net.config.vision_config.image_size
        scaled = square(Image.fromarray(pixels), side).astype(np.float32) / 255
        mean, std = np.float32([0.48145466, 0.4578275, 0.40821073]), np.float32([0.26862954, 0.26130258, 0.27577711])
        batch = torch.from_numpy((scaled - mean) / std).permute(2, 0, 1)[None].to(net.device)
        with torch.inference_mode():
            return _vector(net.get_image_features(pixel_values=batch))

    def _text(self, prompt: str) -> np.ndarray:
        import torch

        net, tokenizer = self.parts
        limit = net.config.text_config.max_position_embeddings
        ids = tokenizer(prompt, truncation=True, max_length=limit, return_tensors="pt").input_ids.to(net.device)
        with torch.inference_mode():
            return _vector(net.get_text_features(input_ids=ids))


def _vector(out) -> np.ndarray:
    """Newer versions of the library wrap the features."""
    return getattr(out, "pooler_output", out)[0].float().cpu().numpy()


@lru_cache(maxsize=1)
def _load(folder: Path):
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: no CLIP model there that could judge images; fetch its package again")
    import torch
    from transformers import AutoTokenizer, CLIPModel

    net = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    return net.to(torch.get_default_device()), AutoTokenizer.from_pretrained(folder, local_files_only=True)
