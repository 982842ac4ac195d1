"""Decode bitstreams in a process of its own, and on request encode the features again: run by the contract test."""

import argparse
import hashlib
import json
from pathlib import Path

import feature_samples
import numpy as np

from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.errors import LamofcError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=Path, help="JSON: pairs of a bitstream and an .npz with its assets")
    parser.add_argument("--encode", action="store_true")
    options = parser.parse_args()
    out = {}
    for path, assets in json.loads(options.jobs.read_text()):
        with np.load(assets) as arrays:
            out[Path(path).name] = attempt(Path(path), dict(arrays), options.encode)
    print(json.dumps(out))


def attempt(path: Path, assets: dict, encode: bool) -> str:
    """The word decoded, or the hash of what this process encodes, or what went wrong."""
    try:
        reader = BitstreamReader(path, assets)
        list(reader)
        if not encode:
            return "decoded"
        copy = path.with_suffix(".again")
        with BitstreamWriter(copy, reader.header["codec"], reader.specs, assets, {}) as writer:
            writer.add(feature_samples.gaussian(list(reader.specs), 33, 8))
        return hashlib.sha256(copy.read_bytes()).hexdigest()
    except LamofcError as error:
        return str(error)


if __name__ == "__main__":
    main()
