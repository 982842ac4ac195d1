"""Build data sets from the files of packages: a folder of items, media and a description.

One module per builder. A data set folder holds
    items.jsonl   one JSON object per sample: id, part (calibration or test), the fields of its task
    dataset.json  what it is: description, licence, seed, options, counts, chance level
    media files   named in the items, relative to the folder: RGB or gray PNG, 16 kHz mono 16-bit WAV
Calibration and test samples never share a source, and any prefix of a part is as balanced as the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lamofc.datasets.folder import DatasetFolder
from lamofc.errors import ConfigError
from lamofc.fetch.staging import staged

BUILDERS = (
    "imagenet", "ade20k", "nyuv2", "coco_canny", "image_folder",
    "stamps_photos", "stamps_clutter", "drawings", "stamps_composites", "rendered_rooms",
    "capitals_choice", "continuation_choice", "kinds_choice", "pronoun_choice", "word_problems", "typed_text",
    "asterisk_speech", "asterisk_prompts", "pocketsphinx_speech", "synthesised_speech", "easy_vqa",
    "hub_choice", "gsm8k", "librispeech", "voicebench",
)  # fmt: skip


def build(
    builder: str, packages: Mapping[str, Path], out_dir: Path, options: Mapping[str, Any] | None = None, seed: int = 0
) -> Path:
    """Build a data set from `packages` (name -> unpacked folder) into the folder `out_dir`.

    The folder appears only when it is complete, and equal inputs give equal bytes. Options are those of
    the builder. Raises ConfigError for an unknown builder or option or when the packages hold too few
    samples, FetchError for a file that is missing.
    """
    if builder not in BUILDERS:
        raise ConfigError(f"data set builder {builder!r} is none of {', '.join(BUILDERS)}")
    module, options = import_module(f"lamofc.datasets.{builder}"), dict(options or {})
    unknown = sorted(set(options) - set(module.OPTIONS))
    if unknown:
        raise ConfigError(f"builder {builder} has no option {', '.join(unknown)}; it has {', '.join(module.OPTIONS)}")
    options = module.OPTIONS | options
    with staged(out_dir) as folder:
        target = DatasetFolder(folder)
        module.build({k: Path(v) for k, v in packages.items()}, target, np.random.default_rng(seed), **options)
        facts = {"name": Path(out_dir).name, "builder": builder, "seed": seed, "options": options}
        target.finish(facts | {"description": module.DESCRIPTION, "licence": module.LICENCE})
    return Path(out_dir)
