import numpy as np
import pytest

from thalgpu.errors import NumericsError
from thalgpu.kernels.standardize import standardize


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_columns_have_zero_mean_and_unit_norm(rng, dtype, tolerance):
    unit, varies = standardize((rng.standard_normal((200, 700)) * 3 + 5).astype(dtype))
    assert unit.dtype == dtype
    assert varies.all()
    np.testing.assert_allclose(unit.sum(axis=0, dtype=float), 0, atol=tolerance * 10)
    np.testing.assert_allclose(np.linalg.norm(unit.astype(float), axis=0), 1, atol=tolerance)


def test_equals_the_plain_formula_in_float64(rng):
    series = rng.standard_normal((60, 5))
    expected = np.empty_like(series)
    for column in range(5):
        centred = series[:, column] - series[:, column].mean()
        expected[:, column] = centred / np.sqrt((centred**2).sum())
    np.testing.assert_allclose(standardize(series)[0], expected, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4, -1e30, 1e-30])
def test_a_constant_series_does_not_vary(dtype, value):
    unit, varies = standardize(np.full((77, 2), value, dtype=dtype))
    assert not varies.any()
    assert not unit.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_noise_of_a_constant_is_not_blown_up(rng, dtype):
    constant = np.full((300, 1), 1e4, dtype=dtype)
    below = np.nextafter(constant, np.zeros_like(constant))
    unit, varies = standardize(np.where(rng.random((300, 1)) < 0.5, constant, below))
    assert not varies.any()
    assert not unit.any()


def test_a_small_signal_on_a_large_mean_is_kept(rng):
    signal = rng.standard_normal((300, 4))
    unit, varies = standardize((signal + 1e4).astype(np.float32))
    assert varies.all()
    # float32 stores 1e4 to 1e-3, the signal to 5e-4 of its SD: correlations suffer in the seventh digit only.
    np.testing.assert_allclose((unit * standardize(signal)[0]).sum(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_series_that_is_not_finite_is_zero_and_leaves_the_others_alone(rng, bad):
    series = rng.standard_normal((50, 3))
    expected = standardize(series)[0]
    series[7, 1] = bad
    unit, varies = standardize(series)
    assert varies.tolist() == [True, False, True]
    assert not unit[:, 1].any()
    np.testing.assert_array_equal(unit[:, [0, 2]], expected[:, [0, 2]])


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_extreme_units_neither_overflow_nor_vanish(rng, scale):
    series = rng.standard_normal((50, 3))
    np.testing.assert_allclose(standardize(series * scale)[0], standardize(series)[0], atol=1e-15)


def test_input_is_not_modified(rng):
    series = rng.standard_normal((20, 3))
    series.setflags(write=False)
    standardize(series)


def test_result_does_not_depend_on_memory_order(rng):
    series = rng.standard_normal((40, 30)).astype(np.float32)
    np.testing.assert_allclose(standardize(np.asfortranarray(series))[0], standardize(series)[0], atol=1e-7)


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((2, 3), int), np.zeros((2, 3), np.float16), np.zeros((0, 3))])
def test_other_than_a_floating_matrix_is_refused(wrong):
    with pytest.raises(NumericsError, match="series"):
        standardize(wrong)
