import numpy as np
import pytest

from thalgpu.kernels.gram import add_gram, cross_products, mirror


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_cross_products_equal_the_plain_product(rng, dtype, order):
    a, b = (np.asarray(rng.integers(-4, 5, (30, width)), dtype, order) for width in (11, 17))
    products = cross_products(a, b)
    assert products.dtype == dtype
    assert products.flags.c_contiguous
    np.testing.assert_array_equal(products, a.T @ b)  # small integers: no rounding in either


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gram_adds_up_over_tiles(rng, dtype):
    rows = rng.integers(-4, 5, (300, 50)).astype(dtype)
    gram = np.zeros((300, 300), dtype)
    for start in range(0, 50, 20):
        add_gram(gram, np.ascontiguousarray(rows[:, start : start + 20]))
    np.testing.assert_array_equal(mirror(gram), rows @ rows.T)


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 600])
def test_mirror_copies_the_lower_triangle(rng, n):
    square = rng.standard_normal((n, n))
    expected = np.tril(square) + np.tril(square, -1).T
    np.testing.assert_array_equal(mirror(square), expected)
