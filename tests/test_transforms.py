"""Transforms against their definitions and against numpy."""

import numpy as np
import pytest

from lamofc.interfaces import TensorSpec
from lamofc.transforms import dct, lowrank
from lamofc.transforms.snap import snap


def cosines(n):
    """Orthonormal DCT-II matrix from its definition, (frequency, position)."""
    k, i = np.mgrid[:n, :n]
    out = np.sqrt(2 / n) * np.cos(np.pi * (i + 0.5) * k / n)
    out[0] /= np.sqrt(2)
    return out


def test_dct_along_positions():
    x = np.random.default_rng(0).standard_normal((3, 7)).astype(np.float32)
    y = dct.forward(x, None)
    assert np.allclose(y, x @ cosines(7).T) and np.allclose(dct.inverse(y, None), x)


def test_dct_on_a_grid():
    x = np.random.default_rng(0).standard_normal((2, 15)).astype(np.float32)
    y = dct.forward(x, (3, 5))
    wanted = np.stack([cosines(3) @ plane.reshape(3, 5) @ cosines(5).T for plane in x]).reshape(2, 15)
    assert np.allclose(y, wanted) and np.allclose(dct.inverse(y, (3, 5)), x)
    assert dct.frequencies(15, (3, 5)).reshape(3, 5)[1].tolist() == pytest.approx([1 / 3, 1 / 3, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (4, 1)])
def test_dct_of_little(shape):
    assert np.allclose(dct.inverse(dct.forward(np.ones(shape, np.float32), None), None), 1)


def test_grid_of_a_tensor():
    def tokens(**attributes):
        return TensorSpec("t", "tokens", "float32", (None, 4), attributes=attributes)

    assert dct.grid_of(tokens(grid=[3, 5], prefix=2), (17, 4)) == (2, (3, 5))
    assert dct.grid_of(tokens(grid=[3, 5], prefix=2), (16, 4)) == (0, None)
    assert dct.grid_of(tokens(), (17, 4)) == (0, None)
    assert dct.grid_of(TensorSpec("z", "latent", "float32", (4, 8, 9)), (4, 8, 9)) == (0, (8, 9))


def test_principal_basis_diagonalises():
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((6, 6)) @ rng.standard_normal((6, 4000))).astype(np.float32)
    basis, variances = lowrank.principal(x)
    assert np.allclose(basis.T @ basis, np.eye(6), atol=1e-6) and (np.diff(variances) <= 0).all()
    rotated = basis.T.astype(np.float64) @ x
    assert np.allclose(rotated @ rotated.T / 4000, np.diag(variances), atol=1e-4 * variances[0])
    assert (basis[np.abs(basis).argmax(0), range(6)] > 0).all()


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (7, 7), (1, 9), (9, 1)])
def test_components_are_singular_vectors(shape):
    x = np.random.default_rng(2).standard_normal(shape) * 1e-30
    ((right, sizes),) = lowrank.components(x[None], [0.0])
    assert np.allclose(sizes, np.linalg.svd(x, compute_uv=False), rtol=1e-6, atol=0)
    assert np.allclose(right @ right.T, np.eye(len(sizes)), atol=1e-6)
    assert np.allclose(x @ right.T @ right, x, rtol=0, atol=1e-6 * sizes[0])
    (few, large), (alike, _) = lowrank.components(np.stack([x, -2 * x]), [float(np.median(sizes)), 0.0])
    assert len(few) == len(large) == (sizes > np.median(sizes)).sum()
    assert np.array_equal(np.abs(alike), np.abs(right)), "a matrix depends on what it is analysed together with"


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3, 4)])
def test_components_of_nothing(shape):
    ((right, sizes),) = lowrank.components(np.zeros((1, *shape)), [1e-3])
    assert right.shape == (0, shape[1]) and sizes.shape == (0,)


def test_snap_hides_the_last_bits():
    x = np.random.default_rng(3).standard_normal(100_000)
    noisy = x * (1 + 1e-15 * np.random.default_rng(4).standard_normal(x.size))
    assert np.array_equal(snap(x, 0.1), snap(noisy, 0.1))
    assert np.abs(snap(x, 0.1) - x).max() <= 0.1 / 512 * 1.01
    assert np.isfinite(snap(np.array([1e300, -1e300, 1e38]), 1e-30)).all()
