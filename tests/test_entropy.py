"""Entropy parts: exact inverses, within 1 % of the entropy, compact, deterministic, and bounded on bad bytes."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest

from lamofc.dtypes import BFLOAT16, to_bits
from lamofc.entropy import (
    adaptive,
    bank,
    bits,
    channel_tables,
    fitting,
    grouped,
    histogram,
    integers,
    mask,
    planes,
    scales,
)
from lamofc.entropy.ans import Decoder, Encoder, Rows, Table
from lamofc.errors import BitstreamError


def laplace(sigma: float, size: int | tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.rint(rng.laplace(scale=sigma / np.sqrt(2), size=size)).astype(np.int32)


def empirical_bits(symbols: np.ndarray) -> float:
    _, counts = np.unique(symbols, return_counts=True)
    return float((counts * np.log2(symbols.size / counts)).sum())


def coded(symbols: np.ndarray, tables: np.ndarray, family: str = "laplace") -> bytes:
    encoder = Encoder()
    grouped.put(encoder, symbols, tables, family)
    data = encoder.bytes()
    decoder = Decoder(data)
    assert np.array_equal(grouped.take(decoder, symbols.shape[1], tables, family), symbols)
    decoder.close()
    return data


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.7, 30.0, 1000.0])
def test_grouped_is_within_one_percent_of_the_entropy(sigma):
    symbols = laplace(sigma, (4, 50_000))
    index = fitting.best(symbols)
    assert np.abs(index - bank.index(sigma)).max() <= 1
    bits_used = 8 * len(coded(symbols, index))
    slack = symbols.max() - symbols.min() if sigma >= 1000 else 0  # empirical entropy overfits wide alphabets
    assert bits_used < 1.01 * empirical_bits(symbols) + 64 + 8 * slack


def test_gauss_tables_are_within_one_percent_of_the_entropy():
    symbols = np.rint(np.random.default_rng(0).normal(scale=5, size=(1, 200_000))).astype(np.int32)
    data = coded(symbols, bank.index(np.array([5.0])), "gauss")
    assert 8 * len(data) < 1.01 * empirical_bits(symbols)


@pytest.mark.parametrize("family", bank.FAMILIES)
def test_tables_do_not_depend_on_the_last_bits_of_libm(family):
    for t in range(bank.SIZE):
        scaled = bank.probabilities(t, family) * bank.TOTAL
        assert np.abs(scaled - np.floor(scaled) - 0.5).min() > 1e-7


def test_histogram_weights_do_not_depend_on_the_last_bits_of_libm():
    values = np.exp2(np.arange(4 * 16 + 1) / 4)
    fractional = values[values != np.rint(values)]
    assert np.abs(fractional - np.floor(fractional) - 0.5).min() > 1e-7


def test_tables_are_the_ones_that_old_bitstreams_were_written_with():
    digest = hashlib.sha256()
    for family in bank.FAMILIES:
        for t in range(bank.SIZE):
            digest.update(bank.table(t, family).frequencies.astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "26725fb75400e132"


def test_bytes_are_the_ones_that_old_bitstreams_hold():
    encoder = Encoder()
    encoder.put_uniform(5, 7)
    grouped.put(encoder, np.array([[0, 1, -1, 2], [100, -3, 70_000, 9]], np.int32), np.array([14, 30]))
    histogram.put(encoder, np.array([3, 3, 3, 2, 9, 3, 3] * 20), 16)
    assert encoder.bytes().hex() == (
        "06ca6951f8cb2d2e7d3e51c0454a3e584270f11fb729f1aae273053d8b0cd6035fa5fae0898ac15f8c"
    )


def test_zero_rows_or_columns_cost_nothing():
    assert coded(np.zeros((0, 5), np.int32), np.zeros(0, np.int32)) == b""
    assert coded(np.zeros((5, 0), np.int32), np.zeros(5, np.int32)) == b""


def test_small_tensors_cost_their_entropy_and_a_few_bytes():
    symbols = laplace(2.0, (1, 768))
    assert len(coded(symbols, fitting.best(symbols))) <= empirical_bits(symbols) / 8 * 1.03 + 8
    assert len(coded(laplace(2.0, (1, 1)), np.array([20]))) <= 5


def test_a_constant_costs_next_to_nothing():
    assert len(coded(np.zeros((8, 100_000), np.int32), np.zeros(8, np.int32))) <= 16


def test_values_out_of_reach_cost_bits_but_come_back():
    symbols = laplace(1.0, (3, 1000))
    symbols[1, 7], symbols[2, 8] = grouped.LIMIT, -grouped.LIMIT
    assert len(coded(symbols, np.array([0, 20, 60]))) < 4 * symbols.size
    wide = np.random.default_rng(0).integers(-grouped.LIMIT, grouped.LIMIT, (5, 300)).astype(np.int32)
    assert len(coded(wide, np.zeros(5, np.int32))) < 9 * wide.size


@pytest.mark.parametrize("index", [0, 39, 40, 43, 44, 90, bank.MAX_INDEX])
def test_every_index_codes_every_value(index):
    values = np.array([[0, 1, -1, 2, -2, 31, 32, 33, -32, 12345, -(1 << 20), grouped.LIMIT, -grouped.LIMIT]], np.int32)
    coded(values, np.array([index]))


def test_fitting_costs_are_the_bits_that_coding_takes():
    symbols = laplace(3.0, (2, 20_000))
    predicted = fitting.row_costs(symbols)[:, 24].sum()
    assert 8 * len(coded(symbols, np.array([24, 24]))) == pytest.approx(predicted, rel=2e-3)


@pytest.mark.parametrize("size", [1, 2, 30, 3000, 300_000])
@pytest.mark.parametrize("skew", [0.01, 1.0, 20.0])
def test_histogram_inverts_and_is_compact(size, skew):
    rng = np.random.default_rng(size)
    symbols = rng.choice(256, size, p=rng.dirichlet(np.full(256, 1 / skew)))
    encoder = Encoder()
    histogram.put(encoder, symbols, 256)
    data = encoder.bytes()
    decoder = Decoder(data)
    assert np.array_equal(histogram.take(decoder, size, 256), symbols)
    decoder.close()
    assert len(data) <= min(size + 4, 1.01 * empirical_bits(symbols) / 8 + 320)


def test_histogram_of_many_symbols_is_within_one_percent():
    symbols = laplace(6.0, 200_000).clip(-60, 60) + 60
    encoder = Encoder()
    histogram.put(encoder, symbols, 128)
    assert 8 * len(encoder.bytes()) < 1.01 * empirical_bits(symbols)


def test_histogram_of_a_constant():
    encoder = Encoder()
    histogram.put(encoder, np.full(100_000, 77), 256)
    assert len(encoder.bytes()) <= 4


def test_integers_of_any_size():
    values = np.array([0, 1, 2, 7, 8, 1000, 2**20, 2**31, 2**32 - 2])
    encoder = Encoder()
    integers.put(encoder, values)
    assert np.array_equal(integers.take(Decoder(encoder.bytes()), len(values)), values)
    signed = np.array([0, -1, 1, -(2**30), 2**30])
    assert np.array_equal(integers.unzigzag(integers.zigzag(signed)), signed)


def test_uniform_integers():
    encoder = Encoder()
    for size in (1, 2, 7, 1 << 16, 1 << 31):
        encoder.put_uniform(size - 1, size)
    decoder = Decoder(encoder.bytes())
    assert [decoder.take_one(s) for s in (1, 2, 7, 1 << 16, 1 << 31)] == [0, 1, 6, (1 << 16) - 1, (1 << 31) - 1]
    decoder.close()
    with pytest.raises(ValueError, match="power of two"):
        Encoder().put_uniform(0, 70_000)


def test_scale_levels():
    sigma = np.exp2(np.random.default_rng(0).normal(size=576))
    levels = scales.levels(sigma, 1.0)
    assert np.abs(np.log2(bank.sigma(scales.tables(levels, 0.25)) * 0.25 / sigma)).max() <= 0.157
    encoder = Encoder()
    tables = scales.tables(levels, 0.25)
    scales.put(encoder, tables)
    data = encoder.bytes()
    decoder = Decoder(data)
    assert np.array_equal(scales.take(decoder, 576), tables)
    decoder.close()
    assert len(data) < 576 * 4.6 / 8


@pytest.mark.parametrize("known", [None, 20, 0, 60])
def test_adaptive_follows_rows_and_columns(known):
    symbols = laplace(1.0, (64, 200))
    symbols[:, 3] = laplace(500.0, 64)
    symbols[10:20] = laplace(9.0, (10, 200))
    tables = None if known is None else np.full(64, known, np.int32)
    encoder = Encoder()
    adaptive.put(encoder, symbols, tables)
    data = encoder.bytes()
    decoder = Decoder(data)
    assert np.array_equal(adaptive.take(decoder, 64, 200, tables), symbols)
    decoder.close()
    usual = np.delete(symbols, 3, 1)
    ideal = empirical_bits(usual[10:20]) + empirical_bits(np.delete(usual, range(10, 20), 0)) + 64 * 10.5
    assert 8 * len(data) < 1.03 * ideal + 64 * 5


def test_adaptive_is_within_one_percent_of_the_entropy():
    """Tables found and sent, one for each of 16 rows of other scales."""
    symbols = np.concatenate([laplace(0.3 * 1.5**k, (1, 20_000), k) for k in range(16)])
    encoder = Encoder()
    adaptive.put(encoder, symbols)
    assert 8 * len(encoder.bytes()) < 1.01 * sum(map(empirical_bits, symbols))


def test_mask_is_within_one_percent_of_the_entropy():
    rng, shares = np.random.default_rng(0), [0.5, 0.31, 0.1, 0.03, 0.007]
    chosen = rng.random((5, 100_000)) < np.array(shares)[:, None]
    encoder = Encoder()
    mask.put(encoder, chosen)
    data = encoder.bytes()
    decoder = Decoder(data)
    assert np.array_equal(mask.take(decoder, *chosen.shape), chosen)
    decoder.close()
    assert 8 * len(data) < 1.01 * sum(map(empirical_bits, chosen))


@pytest.mark.parametrize("family", ["laplace", "gauss"])
@pytest.mark.parametrize("rows", [1, 24])
@pytest.mark.parametrize("calibrated", [True, False])
def test_matrices_in_a_queue_are_coded_as_if_alone(family, rows, calibrated):
    """Equal shapes, unlike contents: fine and coarse steps, raw low bits, escapes, zeros, columns of unusual size."""
    scale = np.exp(np.random.default_rng(1).standard_normal((rows, 1)))
    matrices = [
        np.rint(scale * laplace(sigma, (rows, 31), k)).astype(np.int32) for k, sigma in enumerate((0.3, 9, 5e3, 0))
    ]
    matrices.append(matrices[0] * np.where(np.arange(31) == 3, 300, 1).astype(np.int32))
    matrices.append(matrices[1] + (1 << 29) * (np.arange(31) == 30).astype(np.int32))
    known = [bank.index(scale.ravel() * s) for s in (0.3, 0.01, 5e3, 1, 0.3, 9)] if calibrated else [None] * 6
    queue, together = adaptive.Queue(), [Encoder() for _ in matrices]
    for encoder, symbols, tables in zip(together, matrices, known, strict=True):
        encoder.put_uniform(5, 7)
        queue.put(encoder, symbols, tables, family)
        encoder.put_uniform(300, 1000)
    queue.run()
    for encoder, symbols, tables in zip(together, matrices, known, strict=True):
        alone, data = Encoder(), encoder.bytes()
        alone.put_uniform(5, 7)
        adaptive.put(alone, symbols, tables, family)
        alone.put_uniform(300, 1000)
        assert data == alone.bytes()
        decoder = Decoder(data)
        assert decoder.take_one(7) == 5
        assert np.array_equal(adaptive.take(decoder, rows, 31, tables, family), symbols)
        assert decoder.take_one(1000) == 300
        decoder.close()


@pytest.mark.parametrize("top", [1, 6, 40])
@pytest.mark.parametrize("count", [5, 40, 41, 3000])
def test_tables_of_channels_invert_whatever_the_length_of_rows(top, count):
    """Short rows are coded by another call than long ones, under the same tables: the bytes are the same."""
    symbols = np.concatenate([laplace(0.2 + k / 9, (1, count), k).clip(-top, top) for k in range(30)])
    encoder, rows = Encoder(), Encoder()
    queue = adaptive.Queue()
    channel_tables.put(encoder, symbols, top, None, queue)
    queue.run()
    data = encoder.bytes()
    decoder = Decoder(data)
    assert np.array_equal(channel_tables.take(decoder, 30, count, top, None), symbols)
    decoder.close()
    tables = Rows(1 + np.arange(30 * (2 * top + 1)).reshape(30, -1) % 17)
    encoder = Encoder()
    encoder.put_rows(symbols + top, tables)
    for row, frequencies in zip(symbols + top, tables.rows, strict=True):
        rows.put(row, Table(frequencies))
    assert encoder.bytes() == rows.bytes()


@pytest.mark.parametrize("width", range(17))
def test_bits_pack(width):
    for count in (0, 1, 7, 8, 1001):
        values = np.random.default_rng(count).integers(0, 1 << width, count)
        data = bits.pack(values, width)
        assert len(data) == bits.size(width, count) == -(-count * width // 8)
        assert np.array_equal(bits.unpack(data, width, count), values)
    with pytest.raises(BitstreamError, match="do not hold"):
        bits.unpack(bits.pack(np.ones(9), width) + b"x", width, 9)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_planes_are_exact_and_put_exponents_first(dtype):
    array = np.random.default_rng(0).normal(size=(40, 7)).astype(BFLOAT16 if dtype == "bfloat16" else dtype)
    array[0, :3] = [-0.0, 0.0, 1e-30]
    split = planes.split(array)
    assert np.array_equal(to_bits(planes.merge(split, dtype, array.shape)), to_bits(array))
    assert split.shape == (array.itemsize, array.size)
    assert empirical_bits(split[0]) < 0.75 * empirical_bits(split[-1])


def test_bad_bytes_are_refused_before_they_cost_time():
    symbols = laplace(3.0, (4, 1000))
    data = coded(symbols, np.full(4, 22))
    with pytest.raises(BitstreamError, match="end in a zero"):
        Decoder(data + b"\0")
    start = time.perf_counter()
    with pytest.raises(BitstreamError, match="so few"):
        grouped.take(Decoder(data), 1 << 29, np.full(4, 22))
    with pytest.raises(BitstreamError, match="so few"):
        grouped.take(Decoder(b""), 1 << 29, np.zeros(4, np.int32))
    assert time.perf_counter() - start < 1
    decoder = Decoder(data)
    grouped.take(decoder, 999, np.full(4, 22))
    with pytest.raises(BitstreamError, match="hold more"):
        decoder.close()


def test_random_bytes_never_crash_the_parts():
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = rng.bytes(int(rng.integers(0, 60)))
        for take in (
            lambda d: grouped.take(d, 20, np.array([5, 30, 45, 143])),
            lambda d: histogram.take(d, 50, 256),
            lambda d: integers.take(d, 20),
            lambda d: scales.take(d, 20),
        ):
            try:
                decoder = Decoder(data)
                take(decoder)
                decoder.close()
            except BitstreamError:
                pass


def test_table_refuses_what_it_cannot_code():
    with pytest.raises(ValueError, match="needs 2 symbols"):
        Table(np.array([5]))
    encoder = Encoder()
    encoder.put(np.array([3]), Table(np.array([1, 1, 1])))
    with pytest.raises(KeyError):
        encoder.bytes()


def test_sizes_of_the_largest_floats_come_back():
    sizes = np.array([np.finfo(np.float32).max, 1.0, 2.0**-120])
    encoder = Encoder()
    said = scales.put_sizes(encoder, sizes)
    found = scales.take_sizes(Decoder(encoder.bytes()), 3)
    assert np.array_equal(said, found)
    assert np.abs(found / sizes - 1).max() < 0.05
