"""Many small Procrustes problems: the best rotation, free directions, and what is refused."""

import numpy as np
import pytest
import scipy.linalg

from thalgpu.errors import NumericsError
from thalgpu.kernels import _cuda
from thalgpu.kernels._namespace import to_host
from thalgpu.kernels.procrustes import batched_procrustes


def test_rotation_is_scipys(rng):
    source, target = rng.standard_normal((2, 50, 6))
    expected, _ = scipy.linalg.orthogonal_procrustes(source, target)
    np.testing.assert_allclose(batched_procrustes((source.T @ target)[None])[0], expected, atol=1e-13)


def test_planted_rotations_are_found(rng):
    planted = np.linalg.qr(rng.standard_normal((8, 5, 5)))[0]
    source = rng.standard_normal((8, 30, 5))
    products = source.swapaxes(1, 2) @ (source @ planted)
    np.testing.assert_allclose(batched_procrustes(products), planted, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", range(5))
def test_free_directions_are_completed_to_an_orthogonal_matrix(rng, dtype, rank):
    products = (rng.standard_normal((3, 5, rank)) @ rng.standard_normal((3, rank, 5))).astype(dtype)
    rotations = batched_procrustes(products)
    assert rotations.dtype == dtype
    np.testing.assert_allclose(rotations @ rotations.swapaxes(1, 2), np.tile(np.eye(5), (3, 1, 1)), atol=1e-5)
    # trace(R' M) is the sum of singular values for every best rotation, whatever it does to free directions
    best = np.linalg.svd(products.astype(np.float64), compute_uv=False).sum(axis=1)
    np.testing.assert_allclose((rotations * products).sum(axis=(1, 2)), best, rtol=1e-5)


def test_no_signal_is_no_rotation():
    assert np.array_equal(batched_procrustes(np.zeros((2, 4, 4))), np.tile(np.eye(4), (2, 1, 1)))


def test_a_component_without_signal_on_both_sides_stays(rng):
    products = rng.standard_normal((1, 5, 5))
    products[0, 2, :] = products[0, :, 2] = 0
    rotation = batched_procrustes(products)[0]
    np.testing.assert_allclose(rotation[2], np.eye(5)[2], atol=1e-14)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_first_product_that_is_not_finite_is_named(rng, emulated, wrong):
    products = rng.standard_normal((6, 3, 3))
    products[3, 1, 2] = products[5, 0, 0] = wrong
    for given in (products, emulated.asarray(products)):
        with pytest.raises(NumericsError, match="matrix 3 of 6 products holds NaN or infinity"):
            batched_procrustes(given)


def test_first_product_that_does_not_converge_is_named(rng, emulated, monkeypatch):
    impatient = _cuda.source("procrustes").replace("MOST_SWEEPS = 30", "MOST_SWEEPS = 2")
    module = emulated.RawModule(code=impatient)
    monkeypatch.setattr(_cuda, "_function", lambda xp, device, name, kernel: module.get_function(kernel))
    products = np.stack([np.eye(9), *rng.standard_normal((2, 9, 9))])  # the first needs one sweep, the others some six
    with pytest.raises(NumericsError, match="matrix 1 of 3 products did not converge"):
        batched_procrustes(emulated.asarray(products))


def test_a_products_bits_do_not_depend_on_its_neighbours(rng, emulated):
    products = rng.standard_normal((11, 7, 7))
    together = to_host(batched_procrustes(emulated.asarray(products)))
    alone = to_host(batched_procrustes(emulated.asarray(products[10:])))
    assert together[10:].tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("products", "message"),
    [
        (np.ones((3, 3)), r"stack of square matrices, not \(3, 3\)"),
        (np.ones((2, 3, 4)), "stack of square"),
        (np.ones((2, 0, 0)), "0 rows"),
        (np.ones((1, 33, 33)), "33 rows; 1 to 32"),
    ],
)
def test_other_arrays_are_refused(products, message):
    with pytest.raises(NumericsError, match=message):
        batched_procrustes(products)


def test_products_are_not_modified(rng):
    products = rng.standard_normal((2, 4, 4))
    products.flags.writeable = False
    batched_procrustes(products)
