import numpy as np
import pytest

from thalgpu.engine.structure.volumes import asymmetry, proportion, residual, total
from thalgpu.errors import NumericsError


def test_total_and_asymmetry_are_those_of_a_hand_calculation():
    left, right = np.array([7000.0, 6000.0]), np.array([6000.0, 6000.0])
    assert total(left, right).tolist() == [13000.0, 12000.0]
    assert asymmetry(left, right).tolist() == [1000.0 / 6500.0, 0.0]


def test_residual_volumes_do_not_follow_icv_and_keep_their_means():
    rng = np.random.default_rng(1)
    icv = rng.normal(1.5e6, 1.5e5, 30)
    volumes = np.column_stack([0.004 * icv + rng.normal(0, 300, 30), rng.normal(7000, 500, 30)])
    adjusted = residual(volumes, icv)
    np.testing.assert_allclose(adjusted.mean(axis=0), volumes.mean(axis=0), rtol=1e-12)
    slopes = np.polyfit(icv - icv.mean(), adjusted, 1)[0]
    np.testing.assert_allclose(slopes, 0, atol=1e-12)  # mm³ a mm³; the slope taken out is about 0.004
    np.testing.assert_allclose(residual(volumes[:, 0], icv), adjusted[:, 0], rtol=1e-12)


def test_residual_is_the_stated_formula():
    icv, volumes = np.array([1.0, 2.0, 4.0]), np.array([10.0, 13.0, 16.0])
    slope = np.cov(icv, volumes)[0, 1] / np.var(icv, ddof=1)
    np.testing.assert_allclose(residual(volumes, icv), volumes - slope * (icv - icv.mean()), rtol=1e-12)


def test_proportion_divides_by_icv():
    assert proportion([[6.0, 8.0], [9.0, 3.0]], [2.0, 3.0]).tolist() == [[3.0, 4.0], [3.0, 1.0]]


@pytest.mark.parametrize(
    ("volumes", "icv"),
    [
        ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]),
        ([1.0, 2.0], [5.0, 6.0]),
        ([1.0, 2.0, np.nan], [4.0, 5.0, 6.0]),
        ([1.0, 2.0, 3.0], [0.0, 5.0, 6.0]),
        ([1.0, 2.0, 3.0], [5.0, 6.0]),
    ],
)
def test_volumes_that_cannot_be_adjusted_are_refused(volumes, icv):
    with pytest.raises(NumericsError):
        residual(volumes, icv)


def test_a_thalamus_that_is_not_there_has_no_asymmetry():
    with pytest.raises(NumericsError, match="no asymmetry"):
        asymmetry([0.0], [0.0])
