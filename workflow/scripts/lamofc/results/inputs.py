"""What it takes to send a sample's input instead of its features: without loss, so that the score stays."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from lamofc.inputs.flac import InputCodec
from lamofc.tasks import items

TEXTS = ("prompt", "question", "text")  # fields of an item that hold what the model reads


def collect(curves: Mapping[str, Mapping[str, Any]], datasets: Mapping[str, Path]) -> pd.DataFrame:
    """Rows of the scenarios and folders of their data sets -> per curve: form, samples, bytes and seconds of all."""
    return pd.DataFrame({"curve": c} | _measured(Path(datasets[r["dataset"]]), r["n"]) for c, r in curves.items())


def _measured(dataset: Path, limit: int) -> dict[str, object]:
    size, seconds, count, form = 0, 0.0, 0, ""
    for item in items.of_part(dataset, "test", limit):
        start = time.perf_counter()
        form, data = compressed(dataset, item)
        seconds += time.perf_counter() - start
        size, count = size + len(data), count + 1
    return {"form": form, "n": count, "bytes": size, "encode_seconds": seconds}


def compressed(dataset: Path, item: Mapping[str, Any]) -> tuple[str, bytes]:
    """Lossless WebP of an image (fast setting), FLAC of a sound, else the prompt in UTF-8, deflated where shorter.

    Where a control goes in, that and the prompt do; `image` is then what the model is to draw.
    """
    if "control" in item:
        return "lossless WebP and text", _webp(dataset / item["control"]) + _text(item)
    if "image" in item:
        return "lossless WebP", _webp(dataset / item["image"])
    if "audio" in item:
        return "FLAC", InputCodec().encode({"audio": items.audio(dataset / item["audio"])})
    return "UTF-8 text", _text(item)


def _webp(path: Path) -> bytes:
    file = io.BytesIO()
    Image.fromarray(items.image(path)).save(file, "WEBP", lossless=True, quality=20, method=1)
    return file.getvalue()


def _text(item: Mapping[str, Any]) -> bytes:
    raw = next(item[k] for k in TEXTS if k in item).encode()
    return min(raw, zlib.compress(raw, 9), key=len)
