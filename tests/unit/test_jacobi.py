"""Many small symmetric matrices: order, signs, and what is refused, on the host and on the emulated device."""

import numpy as np
import pytest

from thalgpu.errors import NumericsError
from thalgpu.kernels import _cuda, jacobi
from thalgpu.kernels._namespace import to_host
from thalgpu.kernels.jacobi import batched_eigh


def symmetric(rng, batch, n, dtype=np.float64):
    half = rng.standard_normal((batch, n, n))
    return (half + half.swapaxes(1, 2)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrices_are_rebuilt_from_their_pairs(rng, dtype):
    matrices = symmetric(rng, 5, 12, dtype)
    values, vectors = batched_eigh(matrices)
    assert values.dtype == vectors.dtype == dtype
    rebuilt = (vectors * values[:, None]) @ vectors.swapaxes(1, 2)
    # twelve rows of numbers around 1: n · eps · ‖A‖
    np.testing.assert_allclose(rebuilt, matrices, atol=12 * 10 * np.finfo(dtype).eps)


def test_values_descend(rng):
    values, _ = batched_eigh(symmetric(rng, 20, 9))
    assert (np.diff(values, axis=1) <= 0).all()


def test_largest_element_of_each_vector_is_positive(rng):
    _, vectors = batched_eigh(symmetric(rng, 20, 9))
    assert (vectors.max(axis=1) >= -vectors.min(axis=1)).all()


def test_lower_triangle_counts(rng):
    matrices = symmetric(rng, 3, 6)
    lopsided = np.tril(matrices) + np.triu(np.ones((6, 6)), 1)
    assert np.array_equal(batched_eigh(lopsided)[0], batched_eigh(matrices)[0])


def test_transposed_memory_gives_the_same_bits(rng):
    matrices = symmetric(rng, 4, 7)
    scattered = np.asfortranarray(matrices)
    assert batched_eigh(scattered)[1].tobytes() == batched_eigh(matrices)[1].tobytes()


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        (np.ones((3, 3)), r"stack of square matrices, not \(3, 3\)"),
        (np.ones((2, 3, 4)), "stack of square"),
        (np.ones((2, 3, 3), int), "int64"),
        (np.ones((2, 0, 0)), "0 rows"),
        (np.ones((1, 129, 129)), "129 rows; 1 to 128"),
    ],
)
def test_other_arrays_are_refused(matrices, message):
    with pytest.raises(NumericsError, match=message):
        batched_eigh(matrices)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_first_matrix_that_is_not_finite_is_named(rng, emulated, wrong):
    matrices = symmetric(rng, 6, 5)
    matrices[2, 3, 1] = matrices[4, 0, 4] = wrong
    for given in (matrices, emulated.asarray(matrices)):
        with pytest.raises(NumericsError, match="matrix 2 of 6 matrices holds NaN or infinity"):
            batched_eigh(given)


def test_first_matrix_that_does_not_converge_is_named(rng, emulated, monkeypatch):
    impatient = _cuda.source("jacobi").replace("MOST_SWEEPS = 30", "MOST_SWEEPS = 2")
    module = emulated.RawModule(code=impatient)
    monkeypatch.setattr(_cuda, "_function", lambda xp, device, name, kernel: module.get_function(kernel))
    matrices = symmetric(rng, 4, 8)
    matrices[:2] = np.eye(8)  # these need one sweep, the others some six
    with pytest.raises(NumericsError, match="matrix 2 of 4 matrices did not converge"):
        batched_eigh(emulated.asarray(matrices))


def test_many_matrices_are_solved_in_parts_with_the_same_bits(rng, emulated, monkeypatch):
    matrices = emulated.asarray(symmetric(rng, 7, 5))
    whole = batched_eigh(matrices)
    monkeypatch.setattr(jacobi, "_A_LAUNCH", 3)
    for one, other in zip(whole, batched_eigh(matrices), strict=True):
        assert to_host(one).tobytes() == to_host(other).tobytes()


@pytest.mark.parametrize("limit", [65536, 20_000, 4_000])
def test_bits_do_not_depend_on_how_much_shared_memory_there_is(rng, emulated, monkeypatch, limit):
    matrices = emulated.asarray(symmetric(rng, 3, 40))
    expected = batched_eigh(matrices)
    monkeypatch.setattr(jacobi, "shared_limit", lambda namespace: limit)
    for one, other in zip(expected, batched_eigh(matrices), strict=True):
        assert to_host(one).tobytes() == to_host(other).tobytes()


def test_matrices_are_not_modified(rng):
    matrices = symmetric(rng, 2, 4)
    matrices.flags.writeable = False
    batched_eigh(matrices)
