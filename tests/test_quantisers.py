"""Quantisers, rotations and lattices against theory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lamofc.codecs import hadamard as codec
from lamofc.entropy import bits, lattice_points, scales
from lamofc.entropy.ans import Decoder, Encoder
from lamofc.errors import BitstreamError
from lamofc.interfaces import TensorSpec
from lamofc.quantisers import codebooks, lloyd_max, maxabs, product, reference, uniform
from lamofc.transforms import hadamard, lattice

GAUSS = np.random.default_rng(0).standard_normal(1 << 20).astype(np.float32)


@pytest.mark.parametrize(
    ("width", "distortion"), [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497), (5, 0.002499), (6, 0.000641)]
)
def test_lloyd_max_has_the_distortion_of_the_tables(width, distortion):
    """Max (1960), Jayant and Noll (1984), table 4.3."""
    decoded = lloyd_max.levels(width)[lloyd_max.quantise(GAUSS, width)]
    assert np.mean((decoded - GAUSS) ** 2) == pytest.approx(distortion, rel=0.01)


@pytest.mark.parametrize(("groups", "books"), [(7, 7), (7, 1)])
@pytest.mark.parametrize("count", [0, 1, 33, 4100])
def test_groups_searched_together_find_the_entries_of_each_alone(groups, books, count):
    rng = np.random.default_rng(count)
    entries = rng.standard_normal((books, 32, 4)).astype(np.float32)
    x, prices = rng.standard_normal((groups, 4, count)), rng.random((groups, 32))
    found = codebooks.Search(entries, prices).nearest(x)
    assert found.shape == (groups, count)
    for g in range(groups):
        assert np.array_equal(found[g], codebooks.nearest(x[g].T, entries[g % books], prices[g])[0])


def test_vectors_are_judged_by_components_as_if_all_were_rebuilt():
    rng = np.random.default_rng(5)
    columns = (rng.standard_normal((24, 24)) @ rng.standard_normal((24, 400))).astype(np.float32)
    held = product.Product(product.fit("t", columns, {"4x8": (4, 8)}, 0.5), "t", "4x8", 4, 0.5, True)
    given = columns * np.exp(2 * rng.standard_normal(400)).astype(np.float32)
    missed = ((held.rebuild(held.assign(given)).astype(np.float64) - given) ** 2).sum(0)
    for limit in np.quantile(missed, [0, 0.1, 0.5, 0.9, 1]):
        indices, within = held.assign_within(given, float(limit))
        assert np.array_equal(indices, held.assign(given))
        assert np.array_equal(within[missed != limit], (missed <= limit)[missed != limit])


@pytest.mark.parametrize("width", range(1, 9))
def test_lloyd_max_takes_the_nearest_level(width):
    levels = lloyd_max.levels(width)
    values = np.append(GAUSS[:2000], [-50, -8, 8, 50, 0]).astype(np.float32)
    chosen = lloyd_max.quantise(values, width)
    assert np.allclose(np.abs(values - levels[chosen]), np.abs(values[:, None] - levels).min(1))
    assert np.array_equal(levels, -levels[::-1]) and (np.diff(levels) > 0).all()


def test_lloyd_max_levels_do_not_depend_on_the_last_bits_of_libm():
    coarse = lloyd_max.levels(2)[2:]
    assert coarse == pytest.approx([0.4528, 1.5104], abs=1e-4)
    assert (lloyd_max.levels(5) * 2**16 == np.rint(lloyd_max.levels(5) * 2**16)).all()


@pytest.mark.parametrize("step", [1.0, 0.1, 3e-5])
def test_uniform_quantiser_keeps_its_error_bound_and_its_distortion(step):
    decoded = uniform.dequantise(uniform.quantise(GAUSS, step), step)
    assert np.abs(decoded - GAUSS).max() <= step / 2 * 1.001 + 1e-6
    if step == 0.1:
        assert np.mean((decoded - GAUSS) ** 2) == pytest.approx(step**2 / 12, rel=0.01)


def test_rounding_by_rate_only_ever_shrinks():
    values = GAUSS[:4000].reshape(4, 1000)
    plain = uniform.quantise(values, 0.5)
    tables = np.full(4, 20)
    assert np.array_equal(uniform.quantise_rd(values, 0.5, tables, 0.0), plain)
    shrunk = uniform.quantise_rd(values, 0.5, tables, 1.0)
    assert (np.abs(shrunk) <= np.abs(plain)).all() and (shrunk != plain).any() and np.abs(shrunk - plain).max() == 1


def test_coarsening_keeps_the_largest_value_in_range():
    for largest in (1.0, 1e9, 3e38):
        doublings = uniform.coarsening(largest, 1e-3)
        assert largest / (1e-3 * 2.0**doublings) < 2**30
    assert uniform.coarsening(5.0, 0.1) == 0


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 64, 192, 576, 1500])
def test_hadamard_is_orthonormal(size):
    vectors = np.random.default_rng(size).standard_normal((17, size)).astype(np.float32)
    kept = vectors.copy()
    rotated = hadamard.forward(vectors)
    assert np.array_equal(vectors, kept)
    assert np.allclose(hadamard.backward(rotated), vectors, atol=1e-5)
    assert np.allclose((rotated**2).sum(1), (vectors**2).sum(1), rtol=1e-4)


def test_hadamard_is_the_matrix_of_that_name():
    signs = hadamard._rounds(4)[0].signs
    matrix = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    assert np.allclose(hadamard.forward(np.eye(4, dtype=np.float32)), signs[:, None] * matrix)


@pytest.mark.parametrize("size", [64, 192, 576, 1024])
def test_hadamard_spreads_a_single_value_over_the_whole_vector(size):
    spread = hadamard.forward(np.eye(size, dtype=np.float32))
    assert np.abs(spread).max() < 6 / np.sqrt(size)


def _closest(values: np.ndarray, name: str) -> np.ndarray:
    """Squared distance to the nearest lattice point, by trying all points around."""
    size = lattice.DIMENSIONS[name]
    moves = np.array(list(itertools.product((-1, 0, 1), repeat=size)))
    best = np.inf
    for half in (0, 0.5) if name == "e8" else (0,):
        points = np.rint(values - half) + moves
        points = points[points.sum(1) % 2 == 0] + half
        best = min(best, ((points - values) ** 2).sum(1).min())
    return best


@pytest.mark.parametrize("name", ["d4", "e8"])
def test_lattice_points_are_the_nearest(name):
    values = 3 * GAUSS[: 40 * lattice.DIMENSIONS[name]].reshape(lattice.DIMENSIONS[name], -1)
    whole, coset = lattice.nearest(values, name)
    assert (whole.sum(0) % 2 == 0).all()
    distance = ((lattice.points(whole, coset) - values) ** 2).sum(0)
    assert np.allclose(distance, [_closest(v, name) for v in values.T], atol=1e-4)


@pytest.mark.parametrize(("name", "gain"), [("d4", 0.0610), ("e8", 0.1085)])
def test_lattices_gain_what_theory_gives(name, gain):
    """Granular gain in bits (Conway and Sloane): distortion falls, entropy stays that of the uniform quantiser."""
    size, step = lattice.DIMENSIONS[name], 0.1
    scale = step * lattice.SCALES[name]
    blocks = np.ascontiguousarray(GAUSS.reshape(-1, size).T) / np.float32(scale)
    points = lattice.nearest(blocks, name)
    distortion = np.mean((lattice.points(*points) - blocks) ** 2) * scale**2
    assert -0.5 * np.log2(distortion / (step**2 / 12)) == pytest.approx(gain, abs=0.003)
    encoder = Encoder()
    lattice_points.put(encoder, *points, 1 / scale)
    data = encoder.bytes()
    ideal = np.log2(np.sqrt(2 * np.pi * np.e) / step)
    assert 8 * len(data) / GAUSS.size == pytest.approx(ideal, rel=0.005)
    decoder = Decoder(data)
    found = lattice_points.take(decoder, size, blocks.shape[1], 1 / scale)
    decoder.close()
    assert np.array_equal(found[0], points[0]) and np.array_equal(found[1], points[1])


def run(parameters: dict, array: np.ndarray) -> tuple[float, np.ndarray]:
    spec = TensorSpec("x", "tokens", "float32", (None, array.shape[1]))
    coder = codec.Codec(**parameters).coder([spec], {})
    sections = coder.encode({"x": array})
    return 8 * sum(map(len, sections)) / array.size, coder.decode(sections, {"x": array.shape})["x"]


@pytest.mark.parametrize(("width", "distortion"), [(1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497)])
def test_hadamard_makes_any_tokens_gaussian(width, distortion):
    rng = np.random.default_rng(0)
    array = (rng.laplace(size=(300, 576)) * np.exp(1.5 * rng.standard_normal(576))).astype(np.float32)
    array[3] *= 1e4
    rate, decoded = run({"level": width}, array)
    errors = ((decoded - array) ** 2).sum(1) / (array**2).sum(1)
    assert errors.mean() == pytest.approx(distortion, rel=0.02)
    assert errors.max() < 1.5 * distortion
    assert width < rate < width + 0.02


@pytest.mark.parametrize(("quantiser", "gap"), [("uniform", 0.2546), ("d4", 0.1936), ("e8", 0.1461)])
def test_entropy_coded_hadamard_is_near_the_gaussian_bound(quantiser, gap):
    array = GAUSS[: 576 * 500].reshape(500, 576)
    rate, decoded = run({"quantiser": quantiser, "level": 0.1}, array)
    bound = -0.5 * np.log2(np.mean((decoded - array) ** 2))
    assert gap - 0.005 < rate - bound < gap + 0.02


def test_sizes_are_within_a_sixteenth_of_an_octave():
    sizes = np.exp(3 * GAUSS[:500].astype(np.float64))
    encoder = Encoder()
    found = scales.put_sizes(encoder, sizes)
    assert np.abs(np.log2(found / sizes)).max() <= 1 / 32 + 1e-6
    decoder = Decoder(encoder.bytes())
    assert np.array_equal(scales.take_sizes(decoder, 500), found)
    decoder.close()


def test_maxabs_layouts():
    for kind, shape, layout in (
        ("tokens", (5, 24), (5, 24)),
        ("key", (2, 5, 8), (5, 16)),
        ("ssm", (48, 16), (1, 768)),
        ("conv", (8192, 4), (32, 1024)),
        ("latent", (3, 37, 37), (13, 316)),
        ("pooled", (1499,), (1, 1499)),
        ("pooled", (0,), (0, 0)),
    ):
        spec = TensorSpec("x", kind, "float32", shape)
        array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        if kind != "latent":
            assert maxabs.layout(shape, spec) == layout
        assert np.array_equal(maxabs.from_vectors(maxabs.to_vectors(array, spec), spec, shape), array)


def test_reference_leaves_unusual_tokens_out():
    values = GAUSS[:6400].reshape(64, 100).copy()
    values[:, 0] *= 1000
    assets = reference.fit({"x": values})
    assert assets["x/rms"][0] == pytest.approx(1, rel=0.1)
    assert np.abs(assets["x/mean"]).max() < 0.5
    assert np.abs(assets["x/levels"].astype(int) - scales.ORIGIN).max() < scales.PER_OCTAVE


def test_lloyd_max_refuses_a_payload_of_another_size():
    spec = TensorSpec("x", "tokens", "float32", (None, 8))
    coder = codec.Codec(level=3).coder([spec], {})
    sections = coder.encode({"x": np.ones((5, 8), np.float32)})
    assert len(sections[0]) == bits.size(3, 40)
    with pytest.raises(BitstreamError):
        coder.decode([sections[0][:-1], sections[1]], {"x": (5, 8)})
    with pytest.raises(BitstreamError):
        coder.decode(sections, {"x": (6, 8)})
