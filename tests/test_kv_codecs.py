"""Codecs of key-value caches against independent references of a few lines."""

from __future__ import annotations

import numpy as np
import pytest

from lamofc.codecs import kivi
from lamofc.dtypes import from_float32, to_bits, to_float32
from lamofc.errors import BitstreamError
from lamofc.interfaces import TensorSpec

KEY = TensorSpec("k", "key", "bfloat16", (3, None, 64), 2, {"rope_theta": 1e4})
VALUE = TensorSpec("v", "value", "bfloat16", (3, None, 64), 2)


def cache(tokens: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Keys with loud channels, values with loud tokens."""
    rng = np.random.default_rng(seed)
    channels = np.exp(np.random.default_rng(5).standard_normal((3, 1, 64)))
    keys = rng.standard_normal((3, tokens, 64)) * channels + 2 * channels
    values = rng.standard_normal((3, tokens, 64)) * np.exp(rng.standard_normal((1, tokens, 1)))
    return {n: from_float32(x.astype(np.float32), "bfloat16") for n, x in (("k", keys), ("v", values))}


def run(codec, sample, specs=(KEY, VALUE), assets=None):
    """-> sections by name, decoded sample as float32."""
    coder = codec.coder(specs, assets or {})
    sections = coder.encode(sample)
    decoded = coder.decode(sections, {n: a.shape for n, a in sample.items()})
    assert all(decoded[n].dtype == a.dtype and decoded[n].shape == a.shape for n, a in sample.items())
    return dict(zip(coder.sections, sections, strict=True)), {n: to_float32(a) for n, a in decoded.items()}


def kivi_reference(vector: np.ndarray, group: int, width: int) -> np.ndarray:
    """One channel of keys over tokens, or one token of values over channels."""
    out = []
    for start in range(0, len(vector), group):
        part = vector[start : start + group]
        low = np.float32(np.float16(part.min()))
        step = np.float32(np.float16((part.max() - part.min()) / (2**width - 1)))
        out += [low + step * min(max(round(float((x - low) / step)), 0), 2**width - 1) if step else low for x in part]
    return np.array(out, np.float32)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("entropy", [False, True])
def test_kivi_equals_its_reference(width, entropy):
    sample = cache(75)
    _, decoded = run(kivi.Codec(bits=width, residual=5, entropy=entropy), sample)
    keys, values = (to_float32(sample[n]) for n in "kv")
    for head in range(3):
        for channel in (0, 17, 63):
            wanted = from_float32(kivi_reference(keys[head, :70, channel], 32, width), "bfloat16").astype(np.float32)
            assert np.array_equal(decoded["k"][head, :70, channel], wanted)
        for token in (0, 31, 69):
            wanted = from_float32(kivi_reference(values[head, token], 32, width), "bfloat16").astype(np.float32)
            assert np.array_equal(decoded["v"][head, token], wanted)
    for name in "kv":
        assert np.array_equal(decoded[name][:, 70:], to_float32(sample[name])[:, 70:])


def test_kivi_costs_its_bits_and_one_more():
    sections, _ = run(kivi.Codec(bits=2, residual=0), cache(320))
    assert 8 * sum(map(len, sections.values())) == pytest.approx(2 * 3 * 320 * 64 * (2 + 1), abs=16)
    coded, _ = run(kivi.Codec(bits=2, residual=0, entropy=True), cache(320))
    assert sum(map(len, coded.values())) < 0.95 * sum(map(len, sections.values()))


def test_kivi_keeps_a_short_prompt_as_it_is():
    sample = cache(20)
    _, decoded = run(kivi.Codec(bits=1, residual=32), sample)
    assert all(np.array_equal(decoded[n], to_float32(sample[n])) for n in "kv")


def test_kivi_survives_the_largest_values():
    sample = {n: from_float32(np.float32(3e38) * np.sign(to_float32(a)), "bfloat16") for n, a in cache(40).items()}
    _, decoded = run(kivi.Codec(bits=4, residual=0), sample)
    for name in "kv":
        assert np.abs(decoded[name] / to_float32(sample[name]) - 1).max() < 0.01


def test_kivi_refuses_other_sizes():
    coder = kivi.Codec(bits=2, residual=4).coder([VALUE], {})
    sections = coder.encode({"v": cache(40)["v"]})
    for bad in ([sections[0][:-1], sections[1]], [sections[0], sections[1][:-2]], [sections[0], b""]):
        with pytest.raises(BitstreamError):
            coder.decode(bad, {"v": (3, 40, 64)})
    infinite = from_float32(np.zeros((3, 4, 64), np.float32), "bfloat16")
    infinite[0, 0, 0] = np.inf
    with pytest.raises(BitstreamError, match="infinity"):
        coder.decode([sections[0][: -infinite.nbytes] + to_bits(infinite).tobytes(), sections[1]], {"v": (3, 40, 64)})
