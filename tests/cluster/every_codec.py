"""Fit, encode and decode each numeric codec of config/codecs.yaml once, in whatever interpreter runs this.

Prints the rows it did. Needs nothing but what envs/codecs.yaml names; exit code 1 if torch came in.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

from lamofc import codecs
from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.dtypes import from_float32
from lamofc.interfaces import Sample, TensorSpec

ROOT = Path(__file__).parents[2]
ROPE = {"rope_theta": 1e4}
SPECS = {
    "tokens": TensorSpec("tokens", "tokens", "float32", (None, 16), 1, {}),
    "key": TensorSpec("key", "key", "bfloat16", (2, None, 8), 0, ROPE),
    "value": TensorSpec("value", "value", "bfloat16", (2, None, 8), 0, {}),
}


def features(specs: list[TensorSpec], seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    return {s.name: from_float32(rng.standard_normal(s.resolve(20)).astype(np.float32), s.dtype) for s in specs}


def try_codec(arm: dict, path: Path) -> None:
    """One sample through the middle of the ladder; an exception if anything is missing."""
    kinds = codecs.load(arm["codec"]).kinds
    specs = [s for kind, s in SPECS.items() if kind in kinds or "fallback" in arm]
    if not specs:
        return
    assets = codecs.fit(arm, specs, [features(specs, seed) for seed in range(8)])
    entry = codecs.at_point(arm, arm["ladder"][len(arm["ladder"]) // 2])
    with BitstreamWriter(path, entry, specs, assets, {}) as writer:
        writer.add(features(specs, 9))
    assert len(list(BitstreamReader(path, assets, {}))) == 1


def main() -> None:
    arms = yaml.safe_load((ROOT / "config/codecs.yaml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        for name, arm in arms.items():
            if not hasattr(codecs.load(arm["codec"]), "network_field") and not codecs.missing(arm):
                try_codec(arm, Path(folder, f"{name}.lmfc"))
                print(name, flush=True)
    sys.exit("torch was imported" if "torch" in sys.modules else 0)


if __name__ == "__main__":
    main()
