import numpy as np
import pytest

from thalgpu.engine.gradients.connectivity import connectivity
from thalgpu.errors import NumericsError
from thalgpu.kernels.correlation import LARGEST_CORRELATION, fisher_z


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 5e-7), ("float64", 1e-14)])
def test_correlations_equal_numpys(rng, dtype, tolerance):
    seed, target = rng.standard_normal((90, 7)).astype(dtype), rng.standard_normal((90, 11)).astype(dtype)
    expected = np.corrcoef(seed.astype(float), target.astype(float), rowvar=False)[:7, 7:]
    r = connectivity(seed, target, fisher_z=False)
    assert r.dtype == dtype
    assert r.shape == (7, 11)
    np.testing.assert_allclose(r, expected, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_fisher_z_is_the_inverse_hyperbolic_tangent(rng, dtype, tolerance):
    r = rng.uniform(-0.9, 0.9, (300, 1000)).astype(dtype)
    np.testing.assert_allclose(fisher_z(r.copy()), np.arctanh(r.astype(float)), atol=tolerance)


def test_perfect_correlation_stays_finite(rng):
    seed = rng.standard_normal((40, 2))
    z = connectivity(seed, np.hstack([seed, -seed]))
    np.testing.assert_allclose(np.diag(z[:, :2]), np.arctanh(LARGEST_CORRELATION), rtol=1e-8)
    np.testing.assert_allclose(np.diag(z[:, 2:]), -np.arctanh(LARGEST_CORRELATION), rtol=1e-8)


def test_constant_series_correlate_with_nothing(rng):
    seed, target = rng.standard_normal((40, 3)), rng.standard_normal((40, 4))
    seed[:, 1], target[:, 2] = 7, 0
    z = connectivity(seed, target)
    assert not z[1].any()
    assert not z[:, 2].any()
    assert np.count_nonzero(z) == 2 * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_series_that_are_not_finite_are_refused(rng, bad, which):
    series = [rng.standard_normal((40, 3)), rng.standard_normal((40, 4))]
    series[which][11, 2] = bad
    with pytest.raises(NumericsError, match=("seed_ts", "target_ts")[which]):
        connectivity(*series)


def test_series_of_different_lengths_are_refused():
    with pytest.raises(NumericsError, match="40 time points and target_ts 39"):
        connectivity(np.zeros((40, 3)), np.zeros((39, 3)))


def test_a_single_time_point_is_refused():
    with pytest.raises(NumericsError, match="two or more"):
        connectivity(np.zeros((1, 3)), np.zeros((1, 3)))


def test_series_of_different_dtypes_are_refused():
    with pytest.raises(NumericsError, match="float64 and target_ts float32"):
        connectivity(np.zeros((4, 3)), np.zeros((4, 3), np.float32))
