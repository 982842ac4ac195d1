"""Casts and lossless coders: honest bits, saturation, exactness."""

from __future__ import annotations

import ml_dtypes
import numcodecs.zstd
import numpy as np
import pytest

from lamofc.codecs import cast, identity, lossless
from lamofc.dtypes import from_float32, numpy_dtype, to_bits, to_float32
from lamofc.errors import BitstreamError
from lamofc.interfaces import NATIVE_DTYPES, TensorSpec


def features(dtype: str, size: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    return from_float32((rng.normal(size=(size, 96)) * np.exp(rng.normal(size=96))).astype(np.float32), dtype)


def run(codec, array: np.ndarray, dtype: str) -> tuple[bytes, np.ndarray]:
    spec = TensorSpec("x", "tokens", dtype, (None, 96))
    coder = codec.coder([spec], {})
    sections = coder.encode({"x": array})
    return b"".join(sections), coder.decode(sections, {"x": array.shape})["x"]


@pytest.mark.parametrize(
    ("name", "bits"), [("fp16", 16), ("bf16", 16), ("fp8-e4m3", 8), ("int8", 8), ("int6", 6), ("int3", 3), ("int2", 2)]
)
def test_bits_are_those_of_the_format(name, bits):
    array = features("float32")
    section, _ = run(cast.Codec(dtype=name), array, "float32")
    side = 2 * len(array) if name.startswith("int") else int(name != "bf16")
    assert len(section) == array.size * bits // 8 + side


@pytest.mark.parametrize(("name", "dtype"), [("bf16", "bfloat16"), ("fp16", "float16")])
def test_the_native_dtype_is_the_identity(name, dtype):
    array = features(dtype)
    array[0, :2] = -0.0
    section, decoded = run(cast.Codec(dtype=name), array, dtype)
    assert section == run(identity.Codec(), array, dtype)[0]
    assert np.array_equal(to_bits(decoded), to_bits(array))


def test_fp8_is_within_its_relative_precision():
    array = features("float32")
    for name, precision in (("fp8-e4m3", 2**-4), ("fp8-e5m2", 2**-3)):
        _, decoded = run(cast.Codec(dtype=name), array, "float32")
        large = np.abs(array) > 1e-2 * np.abs(array).max()
        assert np.abs(decoded / array - 1)[large].max() <= precision


@pytest.mark.parametrize("name", ["int8", "int4", "int2"])
def test_integers_are_within_half_a_level_of_their_token(name):
    array = features("float32")
    array[7] *= 1e6
    _, decoded = run(cast.Codec(dtype=name), array, "float32")
    level = np.abs(array).max(1) / {"int8": 127, "int4": 7, "int2": 1}[name]
    assert (np.abs(decoded - array).max(1) <= 0.51 * level + np.abs(array).max(1) / 256).all()


def test_floats_saturate_and_an_outlier_does_not_overflow():
    array = features("float32")
    array[3, 3] = np.finfo(np.float32).max
    for name in ("fp16", "fp8-e4m3", "fp8-e5m2", "int8"):
        _, decoded = run(cast.Codec(dtype=name), array, "float32")
        assert np.isfinite(decoded).all() and decoded[3, 3] == pytest.approx(array[3, 3], rel=0.04)


def test_fp16_of_usual_features_is_a_plain_cast():
    array = features("bfloat16")
    _, decoded = run(cast.Codec(dtype="fp16"), array, "bfloat16")
    assert np.array_equal(to_bits(decoded), to_bits(from_float32(to_float32(array), "float16").astype(decoded.dtype)))


def test_casts_refuse_bytes_that_are_no_numbers():
    spec = TensorSpec("x", "tokens", "float32", (None, 1))
    coder = cast.Codec(dtype="fp8-e4m3").coder([spec], {})
    with pytest.raises(BitstreamError, match="NaN"):
        coder.decode([b"\0\x7f"], {"x": (1, 1)})
    with pytest.raises(BitstreamError, match="do not make"):
        coder.decode([b"\0"], {"x": (1, 1)})
    with pytest.raises(BitstreamError, match="scale"):
        cast.Codec(dtype="int8").coder([spec], {}).decode([b"\1", b"\0\0"], {"x": (1, 1)})
    with pytest.raises(BitstreamError, match="top level"):
        cast.Codec(dtype="int8").coder([spec], {}).decode([b"\xff", b"\x80\x3f"], {"x": (1, 1)})


@pytest.mark.parametrize("method", ["zstd", "byteplane", "pcodec"])
@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
def test_lossless_is_lossless(method, dtype):
    array = features(dtype)
    info = ml_dtypes.finfo(numpy_dtype(dtype))
    array[0, :6] = [0.0, -0.0, info.smallest_subnormal, -info.smallest_subnormal, info.max, -info.max]
    section, decoded = run(lossless.Codec(method=method), array, dtype)
    assert np.array_equal(to_bits(decoded), to_bits(array)) and decoded.dtype == array.dtype
    assert len(section) < array.nbytes * 1.01 + 16


def test_byteplane_saves_what_exponents_hold():
    array = features("bfloat16", 2000)
    section, _ = run(lossless.Codec(method="byteplane"), array, "bfloat16")
    exponents = (to_bits(array) >> 7) & 0xFF
    counts = np.bincount(exponents.ravel())
    counts = counts[counts > 0]
    entropy = float((counts * np.log2(array.size / counts)).sum())
    assert 8 * len(section) < array.size * 8 + 1.01 * entropy + 400


@pytest.mark.parametrize("method", ["zstd", "byteplane", "pcodec"])
def test_lossless_refuses_other_sizes_before_it_allocates(method):
    spec = TensorSpec("x", "tokens", "float32", (None, 96))
    coder = lossless.Codec(method=method).coder([spec], {})
    (section,) = coder.encode({"x": features("float32")})
    for shape in ((39, 96), (41, 96), (0, 96)):
        with pytest.raises(BitstreamError):
            coder.decode([section], {"x": shape})


def test_a_zstd_frame_that_claims_a_terabyte_is_refused():
    frame = bytearray(numcodecs.zstd.compress(bytes(100_000), 3))
    assert lossless.zstd_size(bytes(frame)) == 100_000
    assert lossless.zstd_size(b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little")) == 1 << 40
    assert lossless.zstd_size(b"") == -1
