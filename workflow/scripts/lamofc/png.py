"""Pictures inside JSON files: PNG as arrays of bytes."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def write(pixels: np.ndarray) -> np.ndarray:
    """uint8 (height, width[, 3]) -> uint8 (bytes,)."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", optimize=True)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def read(data: np.ndarray) -> np.ndarray:
    """The inverse, as RGB (height, width, 3)."""
    with Image.open(io.BytesIO(data.tobytes())) as picture:
        return np.asarray(picture.convert("RGB"))
