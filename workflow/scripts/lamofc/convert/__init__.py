"""Turn the model files found in packages into folders that `transformers` and this project load offline.

One module per family. Nothing heavy is imported until a family is asked for, and nothing is ever
unpickled: the formats read here (ONNX initialisers, GGUF, CTranslate2) are plain arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from lamofc.errors import ConfigError, LamofcError
from lamofc.fetch.staging import staged

FAMILIES = (
    "audio_lm_small", "causal_lm_gguf", "dino", "dinov2_imgfocus", "drawn_sd3", "hub_folder", "kimi_audio",
    "sd3_control", "trained", "typeseg_npz", "whisper_ct2",
)  # fmt: skip


class ConvertError(LamofcError):
    """A model file is damaged, or not laid out as its family says."""


def convert(family: str, packages: Mapping[str, Path], out_dir: Path, options: Mapping[str, Any] | None = None) -> Path:
    """Convert the files under `packages` (name -> unpacked folder) into the model folder `out_dir`.

    The folder appears only when it is complete, and equal inputs give equal bytes. Options are the
    keyword arguments of the family's `build`. Raises ConfigError for an unknown family or option,
    FetchError for a file that is missing, ConvertError for one that is damaged or laid out in another way.
    """
    if family not in FAMILIES:
        raise ConfigError(f"model family {family!r} is none of {', '.join(FAMILIES)}")
    module = import_module(f"lamofc.convert.{family}")
    unknown = set(options or {}) - set(module.OPTIONS)
    if unknown:
        raise ConfigError(
            f"family {family} has no option {', '.join(sorted(unknown))}; it has {module.OPTIONS or 'none'}"
        )
    with staged(out_dir) as folder:
        module.build({name: Path(path) for name, path in packages.items()}, folder, **(options or {}))
    return Path(out_dir)
