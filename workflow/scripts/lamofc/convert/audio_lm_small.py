"""A small language model that hears: Whisper's encoder, a projector that this project trained, a causal LM."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from lamofc.convert import causal_lm_gguf, whisper_ct2, whisper_window
from lamofc.fetch.unpacked import find_one

OPTIONS = {"seconds": 4, "dtype": "bfloat16"}
PARTS = ("projector.safetensors", "audio_lm.json")


def build(packages: Mapping[str, Path], folder: Path, seconds: int = 4, dtype: str = "bfloat16") -> None:
    """Write trunk/, encoder/ (of windows of `seconds`) and the files of a training; `models.audio_lm` reads them."""
    listener(packages, folder, seconds)
    causal_lm_gguf.build(packages, made(folder / "trunk"), dtype)
    for name in PARTS:
        shutil.copyfile(find_one(packages, name), folder / name)


def listener(packages: Mapping[str, Path], folder: Path, seconds: int) -> None:
    """encoder/ alone: all that a training of the projector reads of Whisper."""
    with TemporaryDirectory(dir=folder) as whole:
        whisper_ct2.build(packages, Path(whole))
        whisper_window.cut(Path(whole), folder / "encoder", seconds)


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
