"""Bitstreams that earlier versions wrote stay readable, value for value (tests/golden/make.py)."""

import hashlib
import json
from pathlib import Path

import pytest

from lamofc import features
from lamofc.bitstream import BitstreamReader
from lamofc.stages.fit import read_assets

HERE = Path(__file__).parent / "golden"
EXPECTED = json.loads((HERE / "expected.json").read_text())


@pytest.mark.parametrize("row", EXPECTED)
def test_golden_bitstream(row):
    path, assets = HERE / f"{row}.lmfc", HERE / f"{row}.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == EXPECTED[row]["sha256"], "the golden file was changed"
    held, hashes = read_assets({"assets": assets} if assets.exists() else {})
    reader = BitstreamReader(path, held, hashes)
    assert [features.checksum(s, reader.specs) for s in reader] == EXPECTED[row]["checksums"]
