"""K-means tables against theory and hand-worked numbers; planes against the published arithmetic."""

import numpy as np
import pytest

from lamofc.packing.planes import PACKINGS, Layout, matrix_shape, to_matrix
from lamofc.transforms.kmeans_table import assign, fit_table, points

TABLE = np.concatenate([np.array([-4.0, -1.0, 0.0, 1.0, 3.0]), np.full(251, 9.0)]).astype(np.float32)


def decoded(values, table, how, recon="centroid"):
    return points(table, how, recon)[assign(values, table, how)].astype(np.float64)


def mse(values, table, how, recon="centroid"):
    return float(np.mean((values - decoded(values, table, how, recon)) ** 2))


@pytest.mark.parametrize(
    ("draw", "panter_dite"),
    [("standard_normal", np.pi * 3**0.5 / 2), ("laplace", 9.0), ("uniform", 1 / 12)],
)
def test_distortion_approaches_the_high_rate_bound(draw, panter_dite):
    """MSE of an optimal scalar quantiser of 256 levels: (1/12) (integral of f^(1/3))^3 / 256^2."""
    values = getattr(np.random.default_rng(0), draw)(size=1_000_000).astype(np.float32)
    found = mse(values, fit_table(values), "nearest")
    assert 0.95 < found * 256**2 / panter_dite < 1.04


@pytest.mark.parametrize("draw", ["standard_normal", "laplace"])
def test_floor_costs_three_to_five_times_nearest(draw):
    """Error of floor is uniform over a cell's width, of nearest over half of it to each side: 4 times the square."""
    values = getattr(np.random.default_rng(1), draw)(size=300_000).astype(np.float32)
    table = fit_table(values)
    assert 3 < mse(values, table, "floor") / mse(values, table, "nearest") < 5
    assert mse(values, table, "floor", "midpoint") < 1.15 * mse(values, table, "nearest")


def test_levels_are_centroids():
    """Lloyd's condition: each level is the mean of the values nearest to it."""
    values = np.random.default_rng(2).standard_t(4, 50_000)
    table = fit_table(values)
    cells = assign(values, table, "nearest")
    counts = np.bincount(cells, minlength=256)
    means = np.bincount(cells, values, minlength=256) / np.maximum(counts, 1)
    assert np.all(counts > 0)
    assert np.abs(means - table).max() < 0.02 * np.diff(table).max()


def test_outliers_do_not_waste_levels():
    values = np.concatenate([np.random.default_rng(3).standard_normal(100_000), [1e4]]).astype(np.float32)
    table = fit_table(values)
    assert table[-1] == 1e4 and table[-2] < 6
    assert mse(values, table, "nearest") < 1e-4
    assert mse(values, table, "nearest", "midpoint") < 1e-4, "a gap beside an outlier moved its neighbour"


@pytest.mark.parametrize("values", [[], [2.5], [1.0] * 9, [3e38, -3e38], [1e-45, 0.0], [1.0, 2.0, 3.0] * 4])
def test_few_values_are_kept_exactly(values):
    values = np.array(values, np.float32)
    table = fit_table(values)
    assert table.shape == (256,) and table.dtype == np.float32 and np.all(table[1:] >= table[:-1])
    for how in ("nearest", "floor"):
        assert np.array_equal(decoded(values, table, how).astype(np.float32), values)
        assert np.all(np.isfinite(points(table, how, "midpoint")))


def test_fit_is_deterministic_and_ignores_order():
    values = np.random.default_rng(4).standard_normal(10_000).astype(np.float32)
    assert fit_table(values).tobytes() == fit_table(values[::-1]).tobytes()


def test_floor_by_hand():
    """Each value takes the level at or below it, the lowest level below all: the published line."""
    values = np.array([-9.0, -4.0, -1.1, -1.0, -0.1, 0.0, 0.9, 2.9, 3.0, 50.0], np.float32)
    assert assign(values, TABLE, "floor").tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 4, 255]
    assert assign(values[2:8], TABLE, "nearest").tolist() == [1, 1, 2, 2, 3, 4]


def test_midpoints_by_hand():
    """floor: half a gap up (at most the gap below); nearest: a quarter of the difference of the gaps."""
    assert points(TABLE, "floor", "midpoint")[:5].tolist() == [-3.0, -0.5, 0.5, 2.0, 5.0]
    assert points(TABLE, "nearest", "midpoint")[:5].tolist() == [-4.0, -1.25, 0.0, 1.25, 3.5]


def test_paper_packing_by_hand():
    """A (2 heads, 3 tokens, 2) key: heads side by side, zeros to 64 x 64; a latent of 16 channels: 4 x 4 tiles."""
    key = np.arange(1, 13, dtype=np.uint8).reshape(2, 3, 2)
    plane = Layout("key", key.shape, "paper").pack(key)
    assert plane.shape == (64, 64) and plane.sum() == key.sum()
    assert plane[:3, :4].tolist() == [[1, 2, 7, 8], [3, 4, 9, 10], [5, 6, 11, 12]]
    latent = np.arange(16 * 2 * 3).reshape(16, 2, 3)
    matrix = to_matrix(latent, "latent")
    assert matrix.shape == (8, 12)
    assert np.array_equal(matrix[2:4, 3:6], latent[5])
    assert matrix_shape("latent", (32, 128, 128)) == (4 * 128, 8 * 128)


def test_what_the_published_padding_costs():
    """Conv states grow 16 times and pooled vectors 64 times; tight planes hardly grow."""
    for kind, shape, growth in (("conv", (8192, 4), 16), ("pooled", (768,), 64)):
        paper, tight = (np.prod(Layout(kind, shape, p).plane_shape) / np.prod(shape) for p in PACKINGS[::-1])
        assert paper == growth and tight < 1.4


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(
    ("kind", "shape"),
    [("tokens", (257, 384)), ("tokens", (1, 1)), ("tokens", (3, 576)), ("tokens", (100, 1)), ("tokens", (17, 33)),
     ("key", (3, 40, 64)), ("value", (1, 1, 2)), ("ssm", (513, 16)), ("conv", (77, 4)), ("latent", (16, 8, 8)),
     ("latent", (7, 5, 3)), ("embedding", (77, 768)), ("pooled", (767,))],
)  # fmt: skip
def test_planes_are_inverted(kind, shape, packing):
    array = np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)
    layout = Layout(kind, shape, packing)
    plane = layout.pack(array)
    assert plane.shape == layout.plane_shape
    assert np.array_equal(layout.unpack(plane), array)
