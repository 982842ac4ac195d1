"""tailor: each of its parts does what docs/codec.md says of it, on features made for the purpose."""

from __future__ import annotations

import numpy as np
import pytest

from lamofc.codecs import tailor, uq_ec
from lamofc.dtypes import from_float32, to_float32
from lamofc.entropy import coefficients
from lamofc.entropy.ans import Decoder, Encoder, Meter
from lamofc.errors import ConfigError
from lamofc.interfaces import TensorSpec
from lamofc.transforms import klt, positions, prediction, profile

GRID = TensorSpec("block0", "tokens", "float32", (1 + 64, 12), 0, {"grid": [8, 8], "prefix": 1})
TIME = TensorSpec("frames", "tokens", "float32", (None, 12))
OUTPUT = TensorSpec("output", "tokens", "bfloat16", (None, 24), 1)
CACHE = [
    TensorSpec(f"layer{i}.{kind}", kind, "bfloat16", (2, None, 8), i, {"rope_theta": 1e4} if kind == "key" else {})
    for i in range(2)
    for kind in ("key", "value")
]


def smooth(seed: int, sides: int) -> np.ndarray:
    """Tokens (n, 12) that change slowly over a grid (sides 2) or in time (1)."""
    rng = np.random.default_rng(seed)
    shape = (12, 8, 8) if sides == 2 else (12, 1, 100)
    x = rng.standard_normal(shape)
    for _ in range(6):
        for axis in (1, 2):
            x = x + np.roll(x, 1, axis)
    x /= x.std()
    tokens = x.reshape(12, -1).T
    return (
        np.concatenate([rng.standard_normal((1, 12)), tokens]).astype(np.float32)
        if sides == 2
        else tokens.astype(np.float32)
    )


def caches(seed: int, tokens: int = 40) -> dict[str, np.ndarray]:
    """Keys, values and an output that are all linear in one hidden state of 24 numbers."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(7)
    hidden = rng.standard_normal((24, tokens))
    out = {}
    for spec in [*CACHE, OUTPUT]:
        mapped = fixed.standard_normal((spec.channels, 24)) @ hidden + 0.05 * rng.standard_normal(
            (spec.channels, tokens)
        )
        shaped = mapped.T if spec.kind == "tokens" else mapped.reshape(2, 8, tokens).transpose(0, 2, 1)
        out[spec.name] = from_float32(np.ascontiguousarray(shaped, np.float32), "bfloat16")
    return out


def run(codec, specs, held, sample):
    coder = codec.coder(specs, held)
    sections = coder.encode(sample)
    decoded = coder.decode(sections, {k: v.shape for k, v in sample.items()})
    error = {k: float(np.square(to_float32(decoded[k]) - to_float32(v)).mean()) for k, v in sample.items()}
    return sum(map(len, sections)), error, decoded


@pytest.mark.parametrize(("spec", "sides"), [(GRID, 2), (TIME, 1)])
def test_blocks_pay_where_neighbours_are_alike(spec, sides):
    samples = [{spec.name: smooth(s, sides)} for s in range(12)]
    sizes = {}
    for blocks in (True, False):
        codec = tailor.Codec(step=0.2, blocks=blocks)
        held = codec.fit([spec], samples)
        sizes[blocks], error, _ = run(codec, [spec], held, {spec.name: smooth(99, sides)})
        assert error[spec.name] < 0.2**2 / 12 * 3
    assert sizes[True] < 0.8 * sizes[False]


def test_no_blocks_where_neighbours_are_not_alike():
    rng = np.random.default_rng(0)
    samples = [{"frames": rng.standard_normal((100, 12)).astype(np.float32)} for _ in range(8)]
    assert tailor.Codec().fit([TIME], samples)["frames/block"].tolist() == [1, 1]


LATENT = TensorSpec("latent", "latent", "float32", (4, 8, 8))


def test_smooth_latents_get_a_spectrum():
    samples = [{"latent": smooth(s, 2)[1:, :4].T.reshape(4, 8, 8)} for s in range(13)]
    sizes = {}
    for blocks in (True, False):
        codec = tailor.Codec(step=0.3, blocks=blocks)
        held = codec.fit([LATENT], samples[1:])
        assert held["latent/block"].tolist() == ([8, 8] if blocks else [1, 1])
        sizes[blocks], error, _ = run(codec, [LATENT], held, samples[0])
        assert error["latent"] < 0.3**2 / 12 * 3
    assert sizes[True] < 0.8 * sizes[False]


def test_the_background_of_a_latent_is_its_mean_and_the_picture_its_scale():
    samples = []
    for seed in range(13):
        latent = 5 + 0.01 * np.random.default_rng(seed).standard_normal((4, 8, 8))
        latent[:, 2:5, 2:6] += smooth(seed, 2)[1:5, :12].T.reshape(4, 3, 4)
        samples.append({"latent": latent.astype(np.float32)})
    codec = tailor.Codec(step=0.3)
    held = codec.fit([LATENT], samples[1:])
    assert np.allclose(held["latent/mean"], 5, atol=0.02)
    size, error, _ = run(codec, [LATENT], held, samples[0])
    assert error["latent"] < 0.3**2 / 12 * 0.2 and 8 * size / 256 < 3


def test_layers_foretell_each_other():
    specs = [*CACHE, OUTPUT]
    samples = [caches(s) for s in range(12)]
    sizes = {}
    for predict in (True, False):
        codec = tailor.Codec(step=0.1, predict=predict)
        sizes[predict], _, _ = run(codec, specs, codec.fit(specs, samples), caches(99))
    assert sizes[True] < 0.7 * sizes[False]


def test_order_of_prediction_uses_only_what_is_decoded():
    specs = [OUTPUT, *reversed(CACHE)]
    seen: set[str] = set()
    for spec in prediction.order(specs):
        assert set(prediction.sources(spec, specs)) <= seen
        seen.add(spec.name)
    assert prediction.sources(CACHE[3], specs) == ["layer0.key", "layer0.value", "layer1.key"]
    assert prediction.sources(OUTPUT, specs) == ["layer0.key", "layer0.value", "layer1.key", "layer1.value"]


def test_tensors_of_unequal_length_are_coded_without_prediction():
    specs = [*CACHE, OUTPUT]
    codec = tailor.Codec(step=0.05)
    held = codec.fit(specs, [caches(s) for s in range(8)])
    sample = caches(50, 30) | {"output": caches(51, 7)["output"]}
    _, error, _ = run(codec, specs, held, sample)
    assert max(error.values()) < 0.2


def test_errors_go_where_the_tail_does_not_look():
    rng = np.random.default_rng(1)
    samples = [{"frames": rng.standard_normal((100, 12)).astype(np.float32)} for _ in range(8)]
    loud = np.diag([100.0] * 2 + [1.0] * 10).astype(np.float32)
    edge = np.ones(16, np.float32)
    codec = tailor.Codec(step=0.5)
    held = codec.fit_with([TIME], samples, {"frames": loud, "frames/start": edge, "frames/end": edge})
    _, _, decoded = run(codec, [TIME], held, samples[0])
    error = np.square(decoded["frames"] - samples[0]["frames"]).mean(0)
    assert error[:2].mean() < 0.1 * error[2:].mean()
    plain = tailor.Codec(step=0.5, metric="none").fit_with([TIME], samples, {"frames": loud})
    assert np.array_equal(plain["frames/synthesis"], tailor.Codec(step=0.5).fit([TIME], samples)["frames/synthesis"])


def test_weighted_klt_undoes_itself_and_whitens_errors():
    rng = np.random.default_rng(2)
    root = rng.standard_normal((6, 6))
    covariance, metric = np.diag(np.arange(1.0, 7)), klt.shrunk(root @ root.T)
    analysis, synthesis, variances = klt.weighted(covariance, metric)
    assert np.allclose(analysis @ synthesis, np.eye(6))
    assert np.allclose(analysis @ covariance @ analysis.T, np.diag(variances), atol=1e-9)
    assert np.allclose(synthesis.T @ metric @ synthesis, np.eye(6))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 53, 54, 104, 130])
def test_blocks_of_any_length_undo_themselves(count):
    layout = positions.Layout(count, 4, (1, 50))
    matrix = np.random.default_rng(count).standard_normal((3, count)).astype(np.float32)
    coded = layout.transform(matrix)
    assert np.allclose(layout.transform(coded, inverse=True), matrix, atol=1e-5)
    assert np.isclose(np.square(coded).sum(), np.square(matrix).sum(), rtol=1e-5)
    assert layout.frequencies().shape == (layout.body,) and (layout.frequencies() < 50).all()


@pytest.mark.parametrize("contexts", [False, True])
@pytest.mark.parametrize(
    ("rows", "count", "near"), [(6, 5, (1, 1, 1)), (40, 65, (1, 8, 8)), (30, 107, (4, 1, 50)), (5, 2, (4, 1, 1))]
)
def test_coefficients(rows, count, near, contexts):
    rng = np.random.default_rng(rows)
    known = rng.integers(0, 60, (rows, count)).astype(np.int32)
    symbols = np.rint(rng.laplace(size=(rows, count)) * 2.0 ** ((known - 16) / 4)).astype(np.int32)
    symbols[0, 0] = 1 << 28
    encoder = Encoder()
    coefficients.put(encoder, [symbols], coefficients.Layout([known], near, contexts))
    decoder = Decoder(encoder.bytes())
    assert np.array_equal(coefficients.take(decoder, coefficients.Layout([known], near, contexts))[0], symbols)
    decoder.close()


@pytest.mark.parametrize("contexts", [False, True])
def test_matrices_coded_together_cost_what_they_cost_alone(contexts):
    rng = np.random.default_rng(4)
    known = [rng.integers(4, 30, (height, 21)).astype(np.int32) for height in (30, 0, 7, 64)]
    symbols = [np.rint(rng.laplace(size=k.shape) * 2.0 ** ((k - 16) / 4)).astype(np.int32) for k in known]
    symbols[2][:] = 0
    together, alone = coefficients.Layout(known, (4, 1, 8), contexts), Meter()
    encoder, meter = Encoder(), Meter()
    coefficients.put(encoder, symbols, together)
    coefficients.put(meter, symbols, together)
    for one, tables in zip(symbols, known, strict=True):
        coefficients.put(alone, [one], coefficients.Layout([tables], (4, 1, 8), contexts))
        assert coefficients.Ceiling(tables).bits(one) >= 0.9 * _static_bits(one, tables) - 8
    assert np.isclose(meter.bits, alone.bits)
    decoder = Decoder(encoder.bytes())
    found = coefficients.take(decoder, together)
    decoder.close()
    assert all(np.array_equal(a, b) for a, b in zip(found, symbols, strict=True))


def _static_bits(symbols, known):
    meter = Meter()
    coefficients.put(meter, [symbols], coefficients.Layout([known], contexts=False))
    return meter.bits


def _bits(symbols, known, contexts):
    meter = Meter()
    coefficients.put(meter, [symbols], coefficients.Layout([known], (0, 1, 1), contexts))
    return meter.bits


def test_contexts_learn_that_a_token_is_louder():
    rng = np.random.default_rng(3)
    known = np.full((64, 80), 18, np.int32)
    loudness = np.exp(rng.standard_normal(80))
    symbols = np.rint(rng.laplace(size=(64, 80)) * loudness).astype(np.int32)
    cost = [_bits(symbols, known, c) for c in (False, True)]
    assert cost[1] < 0.93 * cost[0]
    calm = np.rint(rng.laplace(size=(64, 80))).astype(np.int32)
    cost = [_bits(calm, known, c) for c in (False, True)]
    assert cost[1] < 1.02 * cost[0]


@pytest.mark.parametrize("step", [0.05, 0.4, 1.6])
@pytest.mark.parametrize("contexts", [False, True])
def test_bits_are_within_one_per_cent_of_the_ideal_of_the_model(step, contexts):
    """Apart from the state that a stream ends with: 64 bits at most."""
    coded = [([GRID], [{GRID.name: smooth(s, 2)} for s in range(12)], {GRID.name: smooth(99, 2)}),
             ([*CACHE, OUTPUT], [caches(s) for s in range(12)], caches(99, 200))]  # fmt: skip
    for specs, samples, sample in coded:
        codec = tailor.Codec(step=step, contexts=contexts)
        coder = codec.coder(specs, codec.fit(specs, samples))
        ideal, real = coder.ideal_bits(sample), 8 * sum(map(len, coder.encode(sample)))
        assert 0.98 * ideal < real < 1.01 * ideal + 64


def test_a_foreign_domain_costs_no_more_than_plain_coding():
    samples = [{"frames": smooth(s, 1)} for s in range(8)]
    codec = tailor.Codec(step=0.1)
    held = codec.fit([TIME], samples)
    rng = np.random.default_rng(5)
    foreign = {"frames": (1e3 * rng.standard_normal((80, 12))).astype(np.float32)}
    size, error, _ = run(codec, [TIME], held, foreign)
    assert 8 * size / foreign["frames"].size < 16 and error["frames"] < 1.0


def test_assets_of_another_shape_are_refused():
    held = tailor.Codec().fit([TIME], [{"frames": smooth(0, 1)}])
    wider = TensorSpec("frames", "tokens", "float32", (None, 13))
    with pytest.raises(ConfigError, match="are for 12 entries, not 13"):
        tailor.Codec().coder([wider], held)
    with pytest.raises(ConfigError, match="fit the codec"):
        tailor.Codec().coder([TIME], {})


def test_column_weights_of_short_samples():
    weights = np.array([2.0, 3, *range(4, 4 + profile.LAST)], np.float32)
    for count in (0, 1, 5, 30):
        assert profile.column_weights(weights, 2, count).shape == (count,)
    assert profile.column_weights(weights, 2, 30)[[0, 1, 15, 29]].tolist() == [2, 3, 1, 4]


def test_channels_of_a_state_have_scales_and_means_of_their_own():
    """Half the bits of a codec that knows the states' common spectrum only, at no greater error."""
    spec = TensorSpec("state", "ssm", "float32", (300, 8), 0)
    scale = np.exp(1.2 * np.random.default_rng(0).standard_normal((300, 1)))
    samples = [
        {"state": (scale * (2 + np.random.default_rng(k).standard_normal((300, 8)))).astype(np.float32)}
        for k in range(20)
    ]
    codec = tailor.Codec(step=0.3)
    held = codec.fit([spec], samples[1:])
    size, error = _size_and_error(codec, spec, held, samples[0])
    common = {k: v for k, v in held.items() if k.split("/")[1] not in ("entries", "entries_scale", "channels")}
    other_size, other_error = _size_and_error(codec, spec, common, samples[0])
    assert size < 0.6 * other_size
    assert error < 1.2 * other_error


def _size_and_error(codec, spec, held, sample):
    coder = codec.coder([spec], held)
    (data,) = coder.encode(sample)
    decoded = coder.decode([data], {"state": sample["state"].shape})["state"]
    return len(data), float(np.square(decoded - sample["state"]).mean())


def test_without_calibration_packets_are_those_of_scales_in_the_stream():
    codec, sample = tailor.Codec(step=0.4, metric="identity"), {"frames": smooth(3, 1)}
    assert codec.fit([TIME], []) == {}
    coder, plain = codec.coder([TIME], {}), uq_ec.Codec(0.4, scales="stream").coder([TIME], {})
    sections = coder.encode(sample)
    assert sections == plain.encode(sample)
    (decoded,) = coder.decode(sections, {"frames": sample["frames"].shape}).values()
    assert np.abs(decoded - sample["frames"]).max() <= 0.5 * 0.4 * 1.5 * sample["frames"].std()
