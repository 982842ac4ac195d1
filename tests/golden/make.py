"""Write golden bitstreams, on purpose only: python tests/golden/make.py ROW [ROW ...]

A golden file stands for all files that users have kept. Never replace one to make a test pass: when the bytes of a
codec change, readers of old files need the old decoder, or the file's version a new number. ROW+WORD is another file
of a row whose assets or parameters have grown since its first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import yaml

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "workflow/scripts"), str(HERE.parent)]

import feature_samples  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

from lamofc import codecs, features  # noqa: E402
from lamofc.bitstream import BitstreamReader, BitstreamWriter  # noqa: E402
from lamofc.interfaces import KINDS  # noqa: E402

LENGTHS = (5, 0, 1)
EXPECTED = HERE / "expected.json"


def main(arguments: list[str] | None = None) -> None:
    """Make the rows named, refusing those that exist unless --replace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="+")
    parser.add_argument("--replace", action="store_true")
    options = parser.parse_args(arguments)
    arms = yaml.safe_load((HERE.parents[1] / "config/codecs.yaml").read_text())
    expected = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    for row in options.rows:
        if row in expected and not options.replace:
            sys.exit(f"{row}: exists already; read the head of {Path(__file__).name}")
        expected[row] = make(row, arms[row.split("+")[0]])
        EXPECTED.write_text(json.dumps(dict(sorted(expected.items())), indent=1) + "\n")


def make(row: str, arm: dict) -> dict:
    """Write <row>.lmfc, and <row>.safetensors if the codec is fitted; what a reader must find."""
    own = codecs.load(arm["codec"]).kinds
    specs = feature_samples.mixed(own | frozenset(KINDS) if "fallback" in arm else own)
    entry = codecs.at_point(arm, arm["ladder"][len(arm["ladder"]) // 2])
    assets, hashes, path = {}, {}, HERE / f"{row}.lmfc"
    if codecs.needs_fit(entry):
        assets = codecs.fit(entry, specs, [feature_samples.gaussian(specs, n, 100 + n) for n in (31, 40, 7)])
    if assets:
        file = path.with_suffix(".safetensors")
        save_file({k: np.ascontiguousarray(v) for k, v in sorted(assets.items())}, file)
        hashes = {"assets": hashlib.sha256(file.read_bytes()).hexdigest()}
    samples = [feature_samples.gaussian(specs, n, n) for n in LENGTHS]
    with BitstreamWriter(path, entry, specs, assets, hashes) as writer:
        for sample in samples:
            writer.add(sample)
    reader = BitstreamReader(path, assets, hashes)
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "checksums": [features.checksum(s, reader.specs) for s in reader],
    }


if __name__ == "__main__":
    main()
