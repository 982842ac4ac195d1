"""uq-ec against rate-distortion theory, and its behaviour where calibration and data disagree."""

from __future__ import annotations

import numpy as np
import pytest

from lamofc import codecs
from lamofc.codecs.uq_ec import Codec
from lamofc.dtypes import from_float32, to_float32
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import TensorSpec

SPEC = TensorSpec("x", "tokens", "float32", (None, 64))


def run(codec: Codec, calibration: np.ndarray, test: np.ndarray, spec: TensorSpec = SPEC) -> tuple[float, np.ndarray]:
    """-> (bits per element, decoded as float32)."""
    coder = codec.coder([spec], codec.fit([spec], _split(calibration)))
    sections = coder.encode({"x": test})
    decoded = codec.coder([spec], codec.fit([spec], _split(calibration))).decode(sections, {"x": test.shape})["x"]
    assert decoded.dtype == test.dtype and decoded.shape == test.shape
    return 8 * len(sections[0]) / max(test.size, 1), to_float32(decoded)


def _split(calibration: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Token matrices become samples of 64 tokens, so that calibration uses every token."""
    cuts = range(64, len(calibration), 64) if calibration.ndim == 2 else []
    return [{"x": part} for part in np.split(calibration, cuts)]


def data(family: str, rows: int = 3000, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sigma = np.exp(spread * np.random.default_rng(7).standard_normal(64))
    unit = {
        "gauss": rng.standard_normal((rows, 64)),
        "laplace": rng.laplace(scale=np.sqrt(0.5), size=(rows, 64)),
    }[family]
    return (unit * sigma).astype(np.float32)


def bound(family: str, x: np.ndarray, distortion: float) -> float:
    """Rate-distortion function of the source at high rate (Shannon's lower bound, met by both), bits per element."""
    sigma = np.exp(np.random.default_rng(7).standard_normal(64))
    entropy = {"gauss": np.log2(np.sqrt(2 * np.pi * np.e)), "laplace": np.log2(np.e * np.sqrt(2))}[family]
    return float((entropy + np.log2(sigma)).mean() - 0.5 * np.log2(2 * np.pi * np.e * distortion))


@pytest.mark.parametrize("family", ["gauss", "laplace"])
@pytest.mark.parametrize("scales", ["calibrated", "stream"])
def test_within_027_bit_of_the_rate_distortion_function(family, scales):
    test = data(family, seed=1)
    for step in (0.02, 0.005):
        codec = Codec(step=step, scales=scales, tables=family)
        rate, decoded = run(codec, data(family), test)
        gap = rate - bound(family, test, float(np.mean((decoded - test) ** 2)))
        assert 0.2 < gap < 0.27


def test_error_is_at_most_half_a_step():
    test = data("laplace", 200)
    codec = Codec(step=0.1)
    rms = codec.fit([SPEC], _split(test))["x/rms"][0]
    _, decoded = run(codec, test, test)
    assert np.abs(decoded - test).max() <= 0.05 * rms * 1.0001


def test_rate_falls_along_the_ladder():
    test = data("laplace", 200)
    rates = [run(Codec(step=s), test, test)[0] for s in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.35


def test_rdo_saves_more_bits_than_a_larger_step_would():
    test = data("laplace", seed=1)
    plain_rate, plain = run(Codec(step=1.0), data("laplace"), test)
    rate, decoded = run(Codec(step=0.85, rdo=1.0), data("laplace"), test)
    assert rate < plain_rate and np.mean((decoded - test) ** 2) < np.mean((plain - test) ** 2)


def test_another_domain_costs_little_more_than_without_calibration():
    foreign = 50 * data("gauss", 400)[:, ::-1].copy()
    codec = Codec(step=0.5)
    rms = codec.fit([SPEC], [{"x": data("gauss")}])["x/rms"][0]
    rate, decoded = run(codec, data("gauss"), foreign)
    assert np.abs(decoded - foreign).max() <= 0.2501 * rms
    own = codec.fit([SPEC], [{"x": foreign}])["x/rms"][0]
    best, _ = run(Codec(step=0.5 * rms / own), foreign, foreign)
    assert rate < best + 0.1


def test_a_token_of_unusual_size_costs_about_its_own_entropy():
    test = data("laplace", 50)
    rate, _ = run(Codec(step=0.2), data("laplace"), test)
    test[0] *= 1000
    loud, decoded = run(Codec(step=0.2), data("laplace"), test)
    assert (loud - rate) * 50 < np.log2(1000) + 1
    assert np.abs(decoded - test).max() < 1


def test_an_outlier_of_ten_thousand_sigma_costs_a_few_bytes():
    test = data("gauss", 50, spread=0)
    rate, _ = run(Codec(step=0.1), data("gauss", spread=0), test)
    test[20, 20] = 1e4
    loud, decoded = run(Codec(step=0.1), data("gauss", spread=0), test)
    assert (loud - rate) * test.size / 8 < 12 and decoded[20, 20] == pytest.approx(1e4, rel=1e-4)


def test_constants_and_small_tensors_cost_next_to_nothing():
    constant = np.full((1000, 64), 3.25, np.float32)
    rate, decoded = run(Codec(step=0.01), constant, constant)
    assert rate * constant.size / 8 <= 16 and np.allclose(decoded, constant)
    spec = TensorSpec("x", "pooled", "float32", (768,))
    rng = np.random.default_rng(0)
    samples = [{"x": x} for x in rng.standard_normal((40, 768)).astype(np.float32)]
    codec = Codec(step=0.5)
    rate = 8 * len(codec.coder([spec], codec.fit([spec], samples[1:])).encode(samples[0])[0]) / 768
    assert rate < np.log2(np.sqrt(2 * np.pi * np.e) / 0.5) + 0.4


@pytest.mark.parametrize("scales", ["calibrated", "stream"])
@pytest.mark.parametrize("step", [1e-6, 0.1, 1000.0])
def test_the_largest_floats_come_back_finite(scales, step):
    largest = np.full((3, 64), np.finfo(np.float32).max, np.float32)
    largest[1] *= -1
    _, decoded = run(Codec(step=step, scales=scales), data("gauss", 10), largest)
    assert np.isfinite(decoded).all()
    if step < 1 and scales == "calibrated":
        assert np.abs(decoded / largest - 1).max() < 1e-6


def test_bfloat16_keys_keep_their_layout():
    spec = TensorSpec("x", "key", "bfloat16", (3, None, 8))
    test = from_float32(np.random.default_rng(0).normal(size=(3, 41, 8)).astype(np.float32), "bfloat16")
    _, decoded = run(Codec(step=0.001), test, test, spec)
    assert np.abs(decoded - to_float32(test)).max() < 0.02


def test_bytes_are_the_ones_that_old_bitstreams_hold():
    codec = Codec(step=0.5)
    assets = codec.fit([SPEC], [{"x": np.arange(640, dtype=np.float32).reshape(10, 64) % 7}])
    coder = codec.coder([SPEC], assets)
    assert coder.encode({"x": np.arange(128, dtype=np.float32).reshape(2, 64) % 5})[0].hex() == (
        "78b42d0fefe443d9f84b3d5ddfd7470b8b4a1dc872ff2e96a90acec4c64f2a6614b0275f08f7a49d669cc4502007465008658900c2c208"
    )


def test_refusals():
    with pytest.raises(ConfigError, match="step"):
        codecs.build("uq-ec", {"step": 0.0})
    with pytest.raises(ConfigError, match="fit the codec"):
        Codec().coder([SPEC], {})
    codec = Codec()
    coder = codec.coder([SPEC], codec.fit([SPEC], [{"x": data("gauss", 10)}]))
    section = coder.encode({"x": data("gauss", 10)})[0]
    with pytest.raises(BitstreamError):
        coder.decode([section[:-9]], {"x": (10, 64)})
    with pytest.raises(BitstreamError):
        coder.decode([section], {"x": (1 << 22, 64)})
