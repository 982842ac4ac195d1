"""Make assets, stores, bitstreams, a figure and a table in a process of its own and print their hashes.

Run by test_determinism in processes that differ in threads and hash seed.
"""

import hashlib
import importlib
import json
import sys
from pathlib import Path

import feature_samples
import synthetic_results
import yaml

from lamofc import codecs
from lamofc.interfaces import TensorSpec
from lamofc.plotting import files as figure_files
from lamofc.results import sheets
from lamofc.stages import code, fit
from lamofc.store import write_all

ROOT = Path(__file__).parents[1]
SPECS = [
    TensorSpec("out", "tokens", "float32", (None, 24), 4, {"grid": [5, 7], "prefix": 2}),
    TensorSpec("key", "key", "bfloat16", (2, None, 8), 0, feature_samples.ROPE),
    TensorSpec("value", "value", "bfloat16", (2, None, 8), 0),
]


def main(folder: Path) -> None:
    for part, seed in (("calibration", 0), ("test", 50)):
        samples = [(f"s{n}", feature_samples.gaussian(SPECS, n, seed + n)) for n in (37, 37, 37, 37)]
        write_all(folder / f"{part}.zarr", SPECS, samples)
    for name, arm in yaml.safe_load((ROOT / "config/codecs.yaml").read_text()).items():
        if codecs.needs_fit(arm) and not feature_samples.network_of(arm) and not codecs.missing(arm):
            make(folder, name, arm)
    paths = synthetic_results.make(folder / "results", curves=2, codecs=["identity", "uq-ec", "topk"], n=20)
    figure = importlib.import_module("figures.rate_score").draw(scores=paths["scores"], families={})
    figure_files.save(figure, *(folder / f"f.{kind}" for kind in ("svg", "pdf", "png")))
    table = importlib.import_module("tables.rate_at").make(scores=paths["scores"], samples=paths["samples"])
    sheets.write(*table, *(folder / f"t.{kind}" for kind in ("tsv", "md", "tex", "html")))
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ("encode.json", "decode.json"))
    print(json.dumps({p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}))


def make(folder: Path, name: str, arm: dict) -> None:
    """Assets, bitstreams at both ends of the ladder, decoded features of one row."""
    entry = codecs.at_point(arm, arm["ladder"][0])
    fit.fit(entry, folder / "calibration.zarr", folder / f"{name}.safetensors")
    assets = {"assets": folder / f"{name}.safetensors"}
    code.encode(arm, [arm["ladder"][0], arm["ladder"][-1]], folder / "test.zarr", assets, folder / name)
    code.decode(folder / name, assets, folder / f"{name}.decoded")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=False)
    main(Path(sys.argv[1]))
