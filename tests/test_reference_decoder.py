"""docs/bitstream.md is enough to write a decoder from: the one that was written from it agrees."""

import feature_samples
import numpy as np
import pytest
import reference_decoder

from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.dtypes import to_bits
from lamofc.interfaces import TensorSpec

SPECS = [
    TensorSpec("out", "tokens", "float32", (None, 6), layer=4),
    TensorSpec("k", "key", "bfloat16", (2, None, 4), layer=0, attributes={"rope_theta": 1e4}),
    TensorSpec("pool", "pooled", "float16", (5,)),
]


def write(path, codec, **parameters):
    samples = [feature_samples.gaussian(SPECS, n, n) for n in (7, 0, 1)]
    with BitstreamWriter(path, {"codec": codec, "parameters": parameters}, SPECS, {}, {}) as writer:
        for sample in samples:
            writer.add(sample)
    return samples


def test_file_and_identity(tmp_path):
    samples = write(tmp_path / "a.lmfc", "identity")
    header, packets = reference_decoder.read((tmp_path / "a.lmfc").read_bytes())
    assert [t["name"] for t in header["tensors"]] == ["out", "k", "pool"] and header["assets"] == {}
    for (shapes, sections, checksum), sample, index in zip(packets, samples, range(3), strict=True):
        assert {n: list(a.shape) for n, a in sample.items()} == shapes
        assert {n: to_bits(a).tobytes() for n, a in sample.items()} == sections
        assert checksum == BitstreamReader(tmp_path / "a.lmfc").packet(index).checksum


@pytest.mark.parametrize("keep", [1.0, 0.3, 0.05])
def test_ans_stream_of_topk(tmp_path, keep):
    write(tmp_path / "a.lmfc", "topk", keep=keep, step=0.02)
    _, packets = reference_decoder.read((tmp_path / "a.lmfc").read_bytes())
    for (shapes, sections, _), sample in zip(packets, BitstreamReader(tmp_path / "a.lmfc", {}), strict=True):
        count = shapes["out"][0]
        found = reference_decoder.topk(sections["out"], 6, count, 0.02)
        wanted = sample["out"].T
        assert np.array_equal(np.array(found, np.float64).reshape(wanted.shape).astype(np.float32), wanted)


@pytest.mark.parametrize(("quantiser", "level"), [("uniform", 0.05), ("d4", 0.4), ("e8", 0.1), ("e8", 1.6)])
def test_rotation_and_lattices_of_hadamard(tmp_path, quantiser, level):
    write(tmp_path / "a.lmfc", "hadamard", quantiser=quantiser, level=level)
    _, packets = reference_decoder.read((tmp_path / "a.lmfc").read_bytes())
    for (shapes, sections, _), sample in zip(packets, BitstreamReader(tmp_path / "a.lmfc", {}), strict=True):
        for name, width in (("out", 6), ("pool", 5)):
            rows, parts = (shapes[name][0] if name == "out" else 1), (sections[name], sections[f"{name}/sizes"])
            found = reference_decoder.hadamard(*parts, rows, width, quantiser, level)
            wanted = sample[name].reshape(rows, width).astype(np.float64)
            assert np.allclose(np.array(found, np.float64).reshape(wanted.shape), wanted, rtol=2e-3, atol=1e-4)
