"""Error-bounded coders keep their bounds; svd, dct and topk find the redundancy that theory says is there."""

import numcodecs
import numpy as np
import pytest

from lamofc import codecs
from lamofc.dtypes import from_float32, numpy_dtype, to_float32
from lamofc.errors import BitstreamError, ConfigError
from lamofc.interfaces import NATIVE_DTYPES, TensorSpec
from lamofc.quantisers import reference
from lamofc.transforms import rows

BOUNDS = {"zfp": ("tolerance", 1.0), "sz3": ("bound", 1.0), "pcodec": ("step", 0.5)}  # knob, largest error in knobs
BITS_OF_MANTISSA = {"float32": 23, "float16": 10, "bfloat16": 7}


def tokens(shape, dtype="float32", **attributes):
    return TensorSpec("x", "tokens", dtype, (None, shape[1]), attributes=attributes)


def coder(name, spec, assets=None, **parameters):
    return codecs.build(name, parameters).coder([spec], assets or {})


def through(made, x, spec):
    """(decoded as float32, bytes)."""
    sections = made.encode({spec.name: x})
    return to_float32(made.decode(sections, {spec.name: x.shape})[spec.name]), sum(map(len, sections))


def features(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * np.exp(rng.standard_normal(shape[1]))
    x[0] *= 100
    return x.astype(np.float32)


def half_ulp(x, dtype):
    return np.exp2(np.floor(np.log2(np.maximum(np.abs(x), 2.0**-14))) - BITS_OF_MANTISSA[dtype] - 1)


@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
@pytest.mark.parametrize("relative", [1e-3, 0.03, 0.3, 4.0])
@pytest.mark.parametrize("name", ["zfp", "sz3", "pcodec"])
def test_absolute_error_bounds(name, relative, dtype):
    knob, share = BOUNDS[name]
    for shape in ((100, 48), (1, 48), (65, 1), (3, 500)):
        spec, x = tokens(shape, dtype), from_float32(features(shape), dtype)
        wide = to_float32(x)
        decoded, _ = through(coder(name, spec, **{knob: relative}), x, spec)
        bound = share * relative * reference.typical_rms(rows.to_rows(x, spec))
        slack = (half_ulp(decoded, dtype) if dtype != "float32" else 0) + 2e-7 * np.abs(wide)
        assert (np.abs(decoded.astype(np.float64) - wide) <= bound + slack).all()


@pytest.mark.parametrize("keep", [0, 1, 3, 7, 10])
def test_bitround_is_the_reference_and_keeps_its_bound(keep):
    x, spec = features((200, 31)), tokens((200, 31))
    decoded, _ = through(coder("bitround", spec, keep=keep), x, spec)
    filtered = numcodecs.BitRound(keepbits=keep)
    assert np.array_equal(decoded.ravel(), filtered.decode(filtered.encode(x.copy())).view(np.float32).ravel())
    assert (np.abs(decoded - x) <= 2.0 ** -(keep + 1) * np.abs(x)).all()


@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
def test_bitround_with_all_bits_is_lossless(dtype):
    x, spec = from_float32(features((50, 7)), dtype), tokens((50, 7), dtype)
    decoded, _ = through(coder("bitround", spec, keep=BITS_OF_MANTISSA[dtype]), x, spec)
    assert np.array_equal(decoded, to_float32(x))


@pytest.mark.parametrize("keep", [-3, -1, 0, 5])
@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
def test_bitround_of_the_largest_stays_finite(dtype, keep):
    spec = tokens((2, 2), dtype)
    largest = np.finfo(np.float32).max if dtype == "float32" else {"float16": 65504.0, "bfloat16": 3.3895e38}[dtype]
    x = np.array([[largest, -largest], [0, 1]]).astype(numpy_dtype(dtype))
    decoded, _ = through(coder("bitround", spec, keep=keep), x, spec)
    assert np.isfinite(decoded).all() and (np.sign(decoded[0]) == [1, -1]).all() and decoded[1, 0] == 0


def test_crash_of_sz3_is_a_refusal():
    x, spec = features((40, 24)), tokens((40, 24))
    made = coder("sz3", spec)
    (data,) = made.encode({"x": x})
    for bad in (b"", b"\0", data[:-7], data[: len(data) // 2], bytes(len(data)), b"\xff" * len(data)):
        with pytest.raises(BitstreamError):
            made.decode([bad], {"x": x.shape})
    assert np.abs(made.decode([data], {"x": x.shape})["x"] - x).max() < 1


def autoregressive(shape, rho):
    """Unit-variance AR(1) along tokens."""
    noise = np.random.default_rng(0).standard_normal(shape) * np.sqrt(1 - rho**2)
    noise[0] /= np.sqrt(1 - rho**2)
    for t in range(1, len(noise)):
        noise[t] += rho * noise[t - 1]
    return noise.astype(np.float32)


def test_dct_gain_on_a_markov_source():
    """Coding gain of AR(1), asymptotically 1/2 log2 1 / (1 - rho^2) = 1.68 bits at rho = .95."""
    x, spec = autoregressive((1500, 64), 0.95), tokens((1500, 64))
    decoded, size = through(coder("dct", spec, step=0.1), x, spec)
    plain, plain_size = through(coder("uq-ec", spec, step=0.1, scales="stream"), x, spec)
    gain = 8 * (plain_size - size) / x.size
    assert 1.55 < gain < 1.75
    assert np.mean((decoded - x) ** 2) < 1.02 * np.mean((plain - x) ** 2)


def test_dct_on_the_grid_beats_the_sequence():
    """A smooth field is cheaper with its two dimensions known, prefix tokens and an outlier token apart."""
    field = autoregressive((32, 32 * 16), 0.98).reshape(32, 32, 16)
    field = (field + autoregressive((32, 32 * 16), 0.98).reshape(32, 32, 16).transpose(1, 0, 2)).reshape(1024, 16)
    x = np.concatenate([50 * np.ones((3, 16)), field]).astype(np.float32)
    x[500] *= 80
    sequence, grid = tokens(x.shape), tokens(x.shape, grid=[32, 32], prefix=3)
    _, flat_size = through(coder("dct", sequence), x, sequence)
    square, square_size = through(coder("dct", grid), x, grid)
    assert square_size < 0.93 * flat_size
    bound = 0.1 * reference.typical_rms(x.T)
    assert np.sqrt(np.mean((square - x) ** 2)) < bound / 3 and np.abs(square[500] - x[500]).max() < bound


def test_zonal_dct_drops_high_frequencies():
    x, spec = autoregressive((256, 8), 0.9), tokens((256, 8))
    decoded, size = through(coder("dct", spec, step=0.05, zone=0.25), x, spec)
    from lamofc.transforms import dct

    spectrum = dct.forward(decoded.T.copy(), None)
    assert np.abs(spectrum[:, 64:]).max() < 1e-3 and np.abs(spectrum[:, 63]).max() > 1e-2
    assert size < 0.5 * through(coder("dct", spec, step=0.05), x, spec)[1]


def known_covariance(count, seed):
    rotation = np.linalg.qr(np.random.default_rng(9).standard_normal((48, 48)))[0]
    scales = np.exp2(np.linspace(3, -3, 48))
    x = np.random.default_rng(seed).standard_normal((count, 48)) * scales @ rotation.T
    return x.astype(np.float32), scales, rotation


def test_calibrated_basis_has_the_coding_gain_of_the_covariance():
    """1/2 mean log2 (variance of channels / eigenvalues), bits per element at high rate."""
    x, scales, rotation = known_covariance(1500, 1)
    spec, calibration = tokens(x.shape), [{"x": known_covariance(2000, 2 + i)[0]} for i in range(8)]
    sizes = {}
    for name, parameters in {"svd": {"basis": "calibrated"}, "uq-ec": {}}.items():
        made = codecs.build(name, parameters | {"step": 0.005})
        decoded, sizes[name] = through(made.coder([spec], made.fit([spec], calibration)), x, spec)
        assert np.mean((decoded - x) ** 2) < 1.05 * (0.005 * reference.typical_rms(x.T)) ** 2 / 12
    channel = (rotation**2 * scales**2).sum(1)
    wanted = 0.5 * np.mean(np.log2(channel)) - np.mean(np.log2(scales))
    assert 8 * (sizes["uq-ec"] - sizes["svd"]) / x.size == pytest.approx(wanted, abs=0.04)


def test_own_basis_of_a_low_rank_matrix():
    """Rank 4 plus noise far below the step costs what its factors do, not what its elements do."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 4)) @ rng.standard_normal((4, 256)) + 1e-3 * rng.standard_normal((400, 256))
    x, spec = x.astype(np.float32), tokens((400, 256))
    decoded, size = through(coder("svd", spec, step=0.1), x, spec)
    _, plain = through(coder("uq-ec", spec, step=0.1, scales="stream"), x, spec)
    assert np.linalg.matrix_rank(decoded, tol=1.0) == 4 and size < 0.06 * plain
    assert np.mean((decoded - x) ** 2) < (0.1 * reference.typical_rms(x.T)) ** 2 / 12


@pytest.mark.parametrize("step", [0.05, 0.4, 2.0])
def test_own_basis_has_the_noise_of_its_step(step):
    x, _, _ = known_covariance(300, 3)
    spec = tokens(x.shape)
    decoded, _ = through(coder("svd", spec, step=step), x, spec)
    unit = step * reference.typical_rms(x.T)
    assert np.mean((decoded - x) ** 2) < 1.6 * unit**2 / 12


def entropy(probabilities):
    p = probabilities[probabilities > 0]
    return -(p * np.log2(p)).sum()


@pytest.mark.parametrize("keep", [0.5, 0.1, 0.02])
def test_topk_keeps_the_largest_at_the_entropy_of_positions(keep):
    x = np.random.default_rng(0).laplace(size=(1000, 200)).astype(np.float32)
    spec = tokens(x.shape)
    decoded, size = through(coder("topk", spec, keep=keep, step=0.05), x, spec)
    kept = np.abs(x) >= np.sort(np.abs(x).ravel())[-int(np.ceil(keep * x.size))]
    assert np.array_equal(decoded != 0, kept) and np.abs(decoded - x)[kept].max() <= 0.025 * 1.1 * x.std()
    _, counts = np.unique(decoded[kept], return_counts=True)
    ideal = x.size * entropy(np.array([keep, 1 - keep])) + kept.sum() * entropy(counts / counts.sum())
    assert 8 * size < 1.02 * ideal + 8 * 200


def test_pcodec_is_near_the_entropy():
    x, spec = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32), tokens((2000, 64))
    _, size = through(coder("pcodec", spec, step=0.1), x, spec)
    _, counts = np.unique(np.rint(x / (0.1 * reference.typical_rms(x.T))), return_counts=True)
    assert 8 * size / x.size < 1.02 * entropy(counts / counts.sum())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("svd", {"step": 0.0}), ("svd", {"basis": "other"}), ("dct", {"zone": 0.0}), ("topk", {"keep": 1.5}),
     ("zfp", {"tolerance": -1.0}), ("sz3", {"bound": 0}), ("bitround", {"keep": 24}), ("pcodec", {"step": 1e9})],
)  # fmt: skip
def test_parameters_out_of_range(name, parameters):
    with pytest.raises(ConfigError, match=next(iter(parameters))):
        codecs.build(name, parameters)


def test_calibrated_basis_needs_its_assets():
    with pytest.raises(ConfigError, match="fit the codec"):
        coder("svd", tokens((4, 4)), basis="calibrated")
