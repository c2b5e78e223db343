"""Leading eigenpairs of an operator that lies on a device: the same body as on the host."""

import numpy as np
import pytest

from thalgpu.errors import NumericsError
from thalgpu.kernels import eigen
from thalgpu.kernels._namespace import is_device, to_host
from thalgpu.kernels.eigen import leading_eigenpairs

N = 400  # above DENSE_UP_TO


@pytest.fixture
def smooth(rng):
    points = rng.standard_normal((N, 3))
    return np.exp(-((points[:, None] - points) ** 2).sum(-1))


def test_pairs_are_the_hosts(emulated, smooth):
    values, vectors = leading_eigenpairs(emulated.asarray(smooth), 4)
    expected_values, expected_vectors = leading_eigenpairs(smooth, 4)
    assert is_device(vectors)
    assert isinstance(values, np.ndarray)
    # the same operations; only the order of sums may differ
    np.testing.assert_allclose(values, expected_values, rtol=1e-13)
    np.testing.assert_allclose(np.abs((to_host(vectors) * expected_vectors).sum(axis=0)), 1, atol=1e-12)


def test_every_run_gives_the_same_bits(emulated, smooth):
    once, again = (leading_eigenpairs(emulated.asarray(smooth), 4) for _ in range(2))
    assert once[0].tobytes() == again[0].tobytes()
    assert to_host(once[1]).tobytes() == to_host(again[1]).tobytes()


def test_no_convergence_falls_back_to_the_full_solution(emulated, smooth, monkeypatch):
    monkeypatch.setattr(eigen, "MAX_PRODUCTS", 1)
    values, vectors = leading_eigenpairs(emulated.asarray(smooth), 3)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(smooth)[:-4:-1], rtol=1e-13)
    assert is_device(vectors)


@pytest.mark.parametrize("n", [5, N])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_entries_that_are_not_finite_are_refused(emulated, smooth, n, wrong):
    operator = smooth[:n, :n].copy()
    operator[3, 1] = operator[1, 3] = wrong
    with pytest.raises(NumericsError, match="not finite"):
        leading_eigenpairs(emulated.asarray(operator), 2)
