"""kvtc: what a calibrated PCA must do, beyond the contract of every codec."""

from __future__ import annotations

import numpy as np
import pytest

from lamofc.codecs import kvtc, uq_ec
from lamofc.dtypes import from_float32, to_bits, to_float32
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import TensorSpec
from lamofc.transforms import rope, vectors

KEY = TensorSpec("layer0.key", "key", "bfloat16", (2, None, 16), 0, {"rope_theta": 1e4})


def keys(tokens: int, seed: int) -> np.ndarray:
    """Keys whose 32 entries have four degrees of freedom before rotation."""
    rng = np.random.default_rng(seed)
    plain = np.random.default_rng(0).standard_normal((32, 4)) @ rng.standard_normal((4, tokens))
    plain += 0.01 * rng.standard_normal((32, tokens))
    rotated = rope.apply(plain.reshape(2, 16, tokens).astype(np.float32), 1e4)
    return from_float32(rotated.transpose(0, 2, 1), "bfloat16")


def coded(codec, array, held):
    coder = codec.coder([KEY], held)
    sections = coder.encode({KEY.name: array})
    return len(sections[0]), coder.decode(sections, {KEY.name: array.shape})[KEY.name]


def test_rotation_is_undone_and_put_back():
    array = keys(50, 1)
    found = vectors.to_vectors(array, KEY)
    assert np.linalg.matrix_rank(found, tol=5.0) <= 4
    back = vectors.from_vectors(found, KEY, array.shape)
    assert np.abs(to_float32(back) - to_float32(array)).max() <= 2**-7 * np.abs(to_float32(array)).max()


def test_low_rank_keys_cost_a_fraction_of_scalar_coding():
    samples = [{KEY.name: keys(60, s)} for s in range(2, 12)]
    array = keys(60, 99)
    sizes, errors = [], []
    for codec in (kvtc.Codec(step=0.2), uq_ec.Codec(step=0.2)):
        size, out = coded(codec, array, codec.fit([KEY], samples))
        sizes.append(size)
        errors.append(np.square(to_float32(out) - to_float32(array)).mean())
    assert sizes[0] < 0.35 * sizes[1]
    assert errors[0] < 1.2 * errors[1]


def test_first_and_last_tokens_can_be_exact():
    samples = [{KEY.name: keys(40, s)} for s in range(4)]
    codec = kvtc.Codec(step=3.0, exact=(2, 3))
    array = keys(33, 50)
    _, out = coded(codec, array, codec.fit([KEY], samples))
    same = (to_bits(out) == to_bits(array)).all(axis=(0, 2))
    assert same[:2].all() and same[-3:].all() and not same[2:-3].any()
    for tokens in (0, 1, 4, 5):
        _, out = coded(codec, keys(tokens, 7), codec.fit([KEY], samples))
        assert np.array_equal(to_bits(out), to_bits(keys(tokens, 7)))


def test_refusals():
    samples = [{KEY.name: keys(40, s)} for s in range(3)]
    codec = kvtc.Codec()
    held = codec.fit([KEY], samples)
    coder = codec.coder([KEY], held)
    with pytest.raises(BitstreamError, match="starts with"):
        coder.decode([b"\7abc"], {KEY.name: (2, 5, 16)})
    with pytest.raises(BitstreamError):
        coder.decode([b"\1"], {KEY.name: (2, 500, 16)})
    with pytest.raises(ConfigError, match=r"no asset 'layer0\.key/components'"):
        codec.coder([KEY], {})
    with pytest.raises(ValueError, match="exact"):
        kvtc.Codec(exact=(1, -1))
