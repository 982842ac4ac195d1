"""Codecs of key-value caches against independent references of a few lines."""

from __future__ import annotations

import numpy as np
import pytest

from lamofc.codecs import cachegen, kivi, kvquant
from lamofc.dtypes import from_float32, to_bits, to_float32
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import TensorSpec

KEY = TensorSpec("k", "key", "bfloat16", (3, None, 64), 2, {"rope_theta": 1e4})
VALUE = TensorSpec("v", "value", "bfloat16", (3, None, 64), 2)


def rotated(keys: np.ndarray, sign: int) -> np.ndarray:
    """(heads, tokens, head_dim) turned by position as Llama does: pairs half a head apart."""
    angles = sign * np.arange(keys.shape[1])[:, None] * 1e4 ** (-np.arange(32) / 32)
    turned = (keys[:, :, :32] + 1j * keys[:, :, 32:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], 2)


def cache(tokens: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Keys with loud and biased channels before their rotation, values with loud tokens."""
    rng = np.random.default_rng(seed)
    channels = np.exp(np.random.default_rng(5).standard_normal((3, 1, 64)))
    keys = rng.standard_normal((3, tokens, 64)) * channels + 2 * channels
    values = rng.standard_normal((3, tokens, 64)) * np.exp(rng.standard_normal((1, tokens, 1)))
    return {n: from_float32(x.astype(np.float32), "bfloat16") for n, x in (("k", rotated(keys, 1)), ("v", values))}


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


def fitted(codec, specs=(KEY, VALUE), count: int = 12):
    return codec.fit(specs, [cache(60, 100 + i) for i in range(count)])


def test_kvquant_keeps_inliers_at_the_nearest_level_and_outliers_as_they_are():
    codec = kvquant.Codec(bits=3)
    assets, sample = fitted(codec), cache(50)
    sample["v"][1, 7, 5] = 300
    _, decoded = run(codec, sample, assets=assets)
    keys = rotated(to_float32(sample["k"]), -1).transpose(0, 2, 1).reshape(192, 50)
    middle, half = assets["k/ranges"].astype(np.float64)
    normal = (keys - middle[:, None]) / half[:, None]
    levels = assets["k/levels"][6:14].astype(np.float64)
    wanted = levels[np.abs(normal[:, :, None] - levels).argmin(2)] * half[:, None] + middle[:, None]
    wanted = np.where(np.abs(normal) > 1, keys, wanted)
    wanted = rotated(wanted.reshape(3, 64, 50).transpose(0, 2, 1), 1)
    close = np.abs(wanted - decoded["k"]) <= 2**-7 * np.abs(wanted) + 0.02
    assert close.mean() > 0.995  # a value at a threshold may go either way
    assert decoded["v"][1, 7, 5] == 300
    inside = np.abs(normal) <= 1
    assert 0.97 < inside.mean() < 0.999


def test_undoing_the_rotation_of_keys_pays():
    sample = cache(60)
    errors = []
    for attributes in ({"rope_theta": 1e4}, {}):
        specs = (TensorSpec("k", "key", "bfloat16", (3, None, 64), 2, attributes), VALUE)
        codec = kvquant.Codec(bits=3)
        _, decoded = run(codec, sample, specs, fitted(codec, specs))
        errors.append(np.mean((decoded["k"] - to_float32(sample["k"])) ** 2))
    assert errors[0] < 0.8 * errors[1]


def test_kvquant_costs_its_bits_and_its_outliers():
    codec = kvquant.Codec(bits=3)
    sections, _ = run(codec, cache(320), assets=fitted(codec))
    size = 3 * 320 * 64
    assert 8 * len(sections["k"]) == pytest.approx(size * (3 + 0.01 * 16), rel=0.05)
    assert 8 * len(sections["k/scales"]) < 0.13 * size
    assert 8 * len(sections["v/scales"]) < (0.13 + 32 / 192) * size
    tight = kvquant.Codec(bits=3, entropy=True)
    smaller, _ = run(tight, cache(320), assets=fitted(tight))
    assert len(smaller["k"]) < len(sections["k"])


def test_kvquant_refuses_damage():
    codec = kvquant.Codec(bits=3)
    coder = codec.coder([VALUE], fitted(codec))
    payload, side = coder.encode({"v": cache(40)["v"]})
    for bad in ([payload[:-1], side], [payload, side[:100]], [payload, b"\0" * len(side)]):
        with pytest.raises(BitstreamError):
            coder.decode(bad, {"v": (3, 40, 64)})
    with pytest.raises(ConfigError, match="fit the codec"):
        codec.coder([KEY], {})


def cachegen_reference(tokens: np.ndarray, top: int) -> np.ndarray:
    """(tokens, channels) through CacheGen's quantiser, one token at a time."""
    out = []
    for i, token in enumerate(tokens):
        base, levels = (np.zeros_like(token), 127) if i % 10 == 0 else (out[i // 10 * 10], top)
        largest = from_float32(np.abs(token - base).max(), "bfloat16").astype(np.float32)
        out.append(base + np.clip(np.rint((token - base) * levels / largest), -levels, levels) * largest / levels)
    return np.array(out)


@pytest.mark.parametrize("tables", ["calibrated", "stream"])
@pytest.mark.parametrize("bins", [1, 12, 127])
def test_cachegen_equals_its_reference(tables, bins):
    codec, sample = cachegen.Codec(bins=bins, tables=tables), cache(47)
    _, decoded = run(codec, sample, assets=fitted(codec))
    for name in "kv":
        tokens = to_float32(sample[name]).transpose(1, 0, 2).reshape(47, 192)
        found = decoded[name].transpose(1, 0, 2).reshape(47, 192)
        wanted = cachegen_reference(tokens, bins)
        assert np.quantile(np.abs(found - wanted), 0.995) <= 2**-7 * np.abs(wanted).max()


def test_cachegen_has_fewer_bins_in_deeper_layers():
    specs = [TensorSpec(f"k{i}", "key", "bfloat16", (3, None, 64), i) for i in range(6)]
    tops = cachegen.Codec(bins=12, tables="stream").coder(specs, {}).tops
    assert list(tops.values()) == [12, 12, 6, 6, 4, 4]


def test_cachegen_tables_fit_and_sent_ones_are_paid_for():
    sample = cache(200, 3)
    calibrated = cachegen.Codec(bins=12)
    sections, _ = run(calibrated, sample, assets=fitted(calibrated))
    stream, _ = run(cachegen.Codec(bins=12, tables="stream"), sample)
    assert len(sections["v"]) < len(stream["v"]) and len(sections["k"]) < len(stream["k"])
    tokens = to_float32(sample["v"]).transpose(1, 0, 2).reshape(200, 192)
    anchors, differences, _ = cachegen._quantise(tokens, 10, 12)
    ideal = sum(entropy(c) for c in differences.T) + sum(entropy(c) for c in anchors.T)
    assert 8 * len(sections["v"]) < 1.2 * ideal


def entropy(symbols: np.ndarray) -> float:
    counts = np.unique(symbols, return_counts=True)[1]
    return float((counts * np.log2(len(symbols) / counts)).sum())


def test_calibrated_tables_do_not_depend_on_the_last_bits_of_libm():
    values = np.exp2(np.arange(61) / 4)
    fractional = values[values != np.rint(values)]
    assert np.abs(fractional - np.floor(fractional) - 0.5).min() > 1e-7


def test_cachegen_refuses_damage():
    codec = cachegen.Codec()
    coder = codec.coder([VALUE], fitted(codec))
    payload, side = coder.encode({"v": cache(40)["v"]})
    for bad in ([payload[:-3], side], [payload, side[:-1]], [payload, b"\0" * len(side)]):
        with pytest.raises(BitstreamError):
            coder.decode(bad, {"v": (3, 40, 64)})
