"""tailor's decoder is equal on every machine: its sums are exact whatever their order (transforms/exact.py)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import reference_decoder
import reference_tailor
from test_tailor import CACHE, GRID, LATENT, OUTPUT, TIME, caches, smooth

from lamofc import codecs
from lamofc.bitstream import BitstreamReader, BitstreamWriter
from lamofc.codecs import tailor
from lamofc.dtypes import to_bits
from lamofc.interfaces import TensorSpec
from lamofc.transforms import exact, integer_dct, positions

STATE = TensorSpec("state", "ssm", "float32", (30, 8), 0)


def states(seed):
    return np.random.default_rng(seed).standard_normal((30, 8)).astype(np.float32) * np.float32(3)


STREAMS = {
    "grid": ([GRID], lambda s: {GRID.name: smooth(s, 2)}),
    "time": ([TIME], lambda s: {TIME.name: smooth(s, 1)}),
    "latent": ([LATENT], lambda s: {LATENT.name: smooth(s, 2)[1:, :4].T.reshape(4, 8, 8)}),
    "layers": ([*CACHE, OUTPUT], lambda s: caches(s, 30)),
    "states": ([STATE], lambda s: {STATE.name: states(s)}),
}


def _checked(multiply):
    """A product in another order or arithmetic, which first sees that no sum of any part can be inexact."""

    def product(a, b):
        assert np.array_equal(a, np.rint(a)) and np.array_equal(b, np.rint(b))
        assert np.matmul(np.abs(a), np.abs(b)).max(initial=0) < 2**53
        return multiply(a, b)

    return product


def _permuted(a, b):
    order = np.random.default_rng(a.shape[-1]).permutation(a.shape[-1])
    return np.matmul(np.ascontiguousarray(a[..., order]), np.ascontiguousarray(b[..., order, :]))


def _one_by_one(a, b):
    out = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]))
    for k in reversed(range(a.shape[-1])):
        out += a[..., :, k, None] * b[..., k, None, :]
    return out


def _integers(a, b):
    return np.matmul(a.astype(np.int64), b.astype(np.int64)).astype(np.float64)


ORDERS = [_permuted, _one_by_one, _integers]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("step", [0.05, 1.6])
def test_no_order_of_sums_changes_a_bit(monkeypatch, name, step):
    specs, sample_of = STREAMS[name]
    codec = tailor.Codec(step=step)
    held = codec.fit(specs, [sample_of(s) for s in range(12)])
    sample = sample_of(99)
    shapes = {k: v.shape for k, v in sample.items()}
    sections = codec.coder(specs, held).encode(sample)
    wanted = codec.coder(specs, held).decode(sections, shapes)
    for multiply in ORDERS:
        monkeypatch.setattr(exact, "product", _checked(multiply))
        coder = codec.coder(specs, held)
        assert coder.encode(sample) == sections
        found = coder.decode(sections, shapes)
        assert all(to_bits(found[k]).tobytes() == to_bits(wanted[k]).tobytes() for k in wanted)


def test_the_orders_are_different_ones():
    a, b = np.random.default_rng(0).standard_normal((2, 40, 40))
    assert all((np.matmul(a, b) != other(a, b)).any() for other in (_permuted, _one_by_one))


@pytest.mark.parametrize("block", [(1, 1), (1, 8), (8, 8)])
@pytest.mark.parametrize("size", [1, 1 << 20, 2**31 - 1])
def test_symbols_of_any_size_stay_exact(monkeypatch, block, size):
    """Forged ones too: large integers lose low bits, the same on both sides, before a sum could."""
    layout, rng = positions.Layout(70, 2, block), np.random.default_rng(0)
    symbols = rng.choice([-size, size], (40, 70)).astype(np.int32)
    matrix = exact.Matrix(rng.standard_normal((40, 40)), 17)
    found = []
    for multiply in [np.matmul, *ORDERS]:
        monkeypatch.setattr(exact, "product", _checked(multiply))
        values, most = integer_dct.inverse(symbols, layout, np.full(70, 2.0**14))
        assert np.abs(values).max() <= most
        product, exponent = matrix @ values
        assert np.array_equal(product, found[0] if found else product)
        found.append(product)
    true = layout.transform(4.0 * symbols, inverse=True)
    assert np.allclose(values * 2.0**-12, true, rtol=0, atol=1e-4 * np.abs(true).max() + 2.0**-11)
    known = matrix.integers * 2.0**-matrix.shift @ true
    assert np.allclose(product * 2.0 ** (exponent - 12), known, rtol=0, atol=1e-3 * np.abs(known).max())


def test_predictions_from_tensors_out_of_range_stay_exact(monkeypatch):
    monkeypatch.setattr(exact, "product", _checked(np.matmul))
    specs = [*CACHE, OUTPUT]
    codec = tailor.Codec(step=0.05)
    coder = codec.coder(specs, codec.fit(specs, [caches(s) for s in range(8)]))
    sample = caches(50)
    sample["layer0.key"] = (sample["layer0.key"].astype(np.float32) * 1e30).astype(sample["layer0.key"].dtype)
    decoded = coder.decode(coder.encode(sample), {k: v.shape for k, v in sample.items()})
    again = coder.decode(coder.encode(sample), {k: v.shape for k, v in sample.items()})
    assert all(np.array_equal(to_bits(decoded[k]), to_bits(again[k])) for k in sample)
    wide = [decoded[k].astype(np.float64) for k in sample]
    assert all(np.isfinite(x).all() for x in wide)


def test_both_arithmetics_code_equally_well():
    for specs, sample_of in STREAMS.values():
        held = tailor.Codec().fit(specs, [sample_of(s) for s in range(12)])
        sample, sizes, errors = sample_of(99), [], []
        for integers in (False, True):
            coder = tailor.Codec(step=0.4, integers=integers).coder(specs, held)
            (data,) = coder.encode(sample)
            decoded = coder.decode([data], {k: v.shape for k, v in sample.items()})
            sizes.append(len(data))
            errors.append(sum(np.square(decoded[k].astype(float) - sample[k].astype(float)).sum() for k in sample))
        assert abs(sizes[1] - sizes[0]) <= 8 + 0.005 * sizes[0] and abs(errors[1] / errors[0] - 1) < 0.005


def test_headers_name_the_arithmetic_and_old_ones_mean_the_old():
    entry = {"codec": "dct", "parameters": {}, "fallback": {"codec": "tailor", "parameters": {"step": 0.4}}}
    named = codecs.named(entry)
    assert named["parameters"] == {} and named["fallback"]["parameters"] == {"step": 0.4, "integers": True}
    assert codecs.unnamed(named) == named
    assert codecs.unnamed(entry)["fallback"]["parameters"] == {"step": 0.4, "integers": False}


@pytest.mark.parametrize("name", ["grid", "time", "latent", "layers"])
def test_the_second_decoder_agrees_bit_for_bit(tmp_path, name):
    specs, sample_of = STREAMS[name]
    specs = [dataclasses.replace(s, dtype="float32", layer=s.layer or 0) for s in specs]
    samples = [{k: v.astype(np.float32) for k, v in sample_of(s).items()} for s in range(8)]
    entry = {"codec": "tailor", "parameters": {"step": 0.3, "contexts": False}}
    assets = codecs.fit(entry, specs, samples)
    with BitstreamWriter(tmp_path / "a.lmfc", entry, specs, assets, {}) as writer:
        writer.add(samples[0])
    header, ((shapes, sections, _),) = reference_decoder.read((tmp_path / "a.lmfc").read_bytes())
    assert header["codec"]["parameters"]["integers"] is True
    found = reference_tailor.tailor(*sections.values(), header, shapes, assets)
    wanted = BitstreamReader(tmp_path / "a.lmfc", assets).decode(0)
    for tensor, array in wanted.items():
        assert np.ascontiguousarray(found[tensor]).tobytes() == array.tobytes(), tensor
