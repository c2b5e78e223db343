"""Leading eigenpairs against LAPACK, on matrices that are hard for a Krylov method."""

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray

from thalgpu.errors import NumericsError
from thalgpu.kernels import eigen
from thalgpu.kernels.eigen import leading_eigenpairs

N = 700  # above DENSE_UP_TO, so that the iterative solver is what is tested


def symmetric(rng: np.random.Generator, n: int = N) -> NDArray[np.float64]:
    half = rng.standard_normal((n, n))
    return half + half.T


def smooth(rng: np.random.Generator, n: int = N) -> NDArray[np.float64]:
    points = rng.standard_normal((n, 3))
    return np.exp(-((points[:, None] - points) ** 2).sum(-1))


def largest(operator: NDArray[np.float64], n_pairs: int) -> NDArray[np.float64]:
    return np.linalg.eigvalsh(operator)[: -n_pairs - 1 : -1]


@pytest.mark.parametrize("n", [5, 100, 256, 257, N])
def test_values_and_vectors_equal_lapacks(rng, n):
    operator = smooth(rng, n)
    values, vectors = leading_eigenpairs(operator, 4)
    expected_values, expected_vectors = scipy.linalg.eigh(operator, subset_by_index=[n - 4, n - 1])
    np.testing.assert_allclose(values, expected_values[::-1], rtol=1e-12)
    # residuals of 1e-10 over gaps of some 5 % of λ₁ turn a vector by less than 1e-8
    overlap = np.abs((vectors * expected_vectors[:, ::-1]).sum(axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-12)


@pytest.mark.fault("degenerate or disconnected graph")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda rng: np.eye(N), id="identity"),
        pytest.param(lambda rng: np.zeros((N, N)), id="zero"),
        pytest.param(lambda rng: np.ones((N, N)), id="rank one"),
        pytest.param(lambda rng: -np.ones((N, N)), id="negative rank one"),
        pytest.param(lambda rng: np.kron(np.eye(10), symmetric(rng, 70)), id="every eigenvalue ten times"),
        pytest.param(lambda rng: np.kron(np.eye(20), symmetric(rng, 35)), id="every eigenvalue twenty times"),
        pytest.param(lambda rng: np.diag(np.arange(N, dtype=float)), id="diagonal"),
        pytest.param(symmetric, id="semicircle, no gap"),
        pytest.param(lambda rng: 1e-150 * symmetric(rng), id="tiny"),
        pytest.param(lambda rng: 1e150 * symmetric(rng), id="huge"),
    ],
)
def test_hard_spectra_are_solved_with_their_multiplicities(rng, make):
    operator = make(rng)
    values, vectors = leading_eigenpairs(operator, 12)
    size = max(np.abs(largest(operator, N)).max(), np.finfo(float).tiny)
    # LAPACK's own error is some n · 2e-16 of the largest magnitude
    np.testing.assert_allclose(values / size, largest(operator, 12) / size, atol=1e-12)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(12), atol=1e-12)
    assert np.linalg.norm(operator @ vectors - vectors * values, axis=0).max() <= 1e-10 * size


def test_largest_are_algebraic_not_by_magnitude(rng):
    basis = np.linalg.qr(symmetric(rng))[0]
    spectrum = np.concatenate([[-9.0, -8.0, 3.0, 2.0], np.zeros(N - 4)])
    values, _ = leading_eigenpairs((basis * spectrum) @ basis.T, 2)
    np.testing.assert_allclose(values, [3, 2], rtol=1e-12)


def test_every_run_gives_the_same_bits(rng):
    operator = smooth(rng)
    once, again = leading_eigenpairs(operator, 6), leading_eigenpairs(operator.copy(), 6)
    assert once[0].tobytes() == again[0].tobytes()
    assert once[1].tobytes() == again[1].tobytes()


def test_operator_is_not_modified(rng):
    operator = smooth(rng)
    operator.flags.writeable = False
    leading_eigenpairs(operator, 3)


def test_no_convergence_falls_back_to_lapack(rng, monkeypatch):
    operator = smooth(rng)
    monkeypatch.setattr(eigen, "MAX_PRODUCTS", 1)
    values, vectors = leading_eigenpairs(operator, 3)
    expected_values, expected_vectors = np.linalg.eigh(operator)
    assert np.array_equal(values, expected_values[:-4:-1])
    assert np.array_equal(vectors, expected_vectors[:, :-4:-1])


def test_all_pairs_of_a_matrix_can_be_asked_for(rng):
    operator = symmetric(rng, 6)
    np.testing.assert_allclose(leading_eigenpairs(operator, 6)[0], largest(operator, 6), rtol=1e-12)


@pytest.mark.fault("degenerate or disconnected graph")
@pytest.mark.parametrize(
    ("operator", "n_pairs", "message"),
    [
        (np.ones((3, 4)), 1, "square"),
        (np.eye(3), 4, "3 rows"),
        (np.eye(3), 0, "0 eigenpairs"),
        (np.full((3, 3), np.nan), 1, "not finite"),
        (np.full((N, N), np.inf), 1, "not finite"),
    ],
)
def test_matrices_without_an_answer_are_named(operator, n_pairs, message):
    with pytest.raises(NumericsError, match=message):
        leading_eigenpairs(operator, n_pairs)
