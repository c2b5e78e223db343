import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.inference.effect_sizes import effect_sizes, hedges_g, partial_eta_squared, partial_r
from thalgpu.engine.inference.model import Contrast, Design
from thalgpu.engine.inference.regression import prepare_model


def test_g_of_two_groups_is_the_textbooks(rng):
    one, other = rng.standard_normal((9, 5)) + 1, rng.standard_normal((14, 5))
    matrix = np.repeat(np.eye(2), [9, 14], axis=0)
    contrast = Contrast("c", "c", np.array([[1.0, -1]]), "t")
    found = effect_sizes(prepare_model(np.vstack([one, other]), Design(matrix, tuple("ab"), ()), contrast), matrix)
    pooled = np.sqrt((8 * one.var(0, ddof=1) + 13 * other.var(0, ddof=1)) / 21)
    cohen = (one.mean(0) - other.mean(0)) / pooled
    # Hedges' own approximation of his factor, 1 − 3 / (4 df − 1), is good to 1e-4 here
    np.testing.assert_allclose(found.value, cohen * (1 - 3 / (4 * 21 - 1)), rtol=1e-4)
    assert found.name == "hedges_g"


@pytest.mark.parametrize("df", [2, 3, 18, 79, 1000])
def test_limits_of_g_are_noncentralities_with_the_observed_t_as_their_tail(df):
    t = np.array([-50.0, -3, -1e-3, 0, 1e-9, 0.5, 2, 10, 37, 50])
    found = hedges_g(t, df, 0.3)
    unit = hedges_g(np.ones(1), df, 0.3).value  # what one unit of t is worth
    np.testing.assert_allclose(stats.nct.cdf(t, df, found.low / unit), 0.975, atol=1e-8)
    np.testing.assert_allclose(stats.nct.cdf(t, df, found.high / unit), 0.025, atol=1e-8)
    assert ((found.low < found.value) & (found.value < found.high)).all()


def test_limits_of_g_cover_the_truth_as_often_as_they_say(rng):
    truth, n = 0.8, 4000
    groups = rng.standard_normal((2, 10, n))
    groups[0] += truth
    t = stats.ttest_ind(*groups).statistic
    found = hedges_g(t, 18, np.sqrt(2 / 10))
    factor = 1 - 3 / (4 * 18 - 1)
    covered = ((found.low <= truth * factor) & (truth * factor <= found.high)).mean()
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / n))


def test_g_mirrors_the_sign_of_t():
    t = np.array([0.3, 2.0, 40.0, 1e5])
    one, other = hedges_g(t, 20, 0.5), hedges_g(-t, 20, 0.5)
    np.testing.assert_array_equal(one.low, -other.high)
    np.testing.assert_array_equal(one.value, -other.value)


def test_r_is_the_correlation_of_what_nuisance_leaves(rng):
    age, dose, values = rng.normal(50, 10, 20), rng.normal(size=20), rng.normal(size=(20, 5))
    matrix = np.column_stack([np.ones(20), age, dose])
    contrast = Contrast("c", "c", np.array([[0.0, 0, 1]]), "t")
    found = effect_sizes(prepare_model(values, Design(matrix, tuple("1ad"), ()), contrast), matrix)
    left = (
        np.column_stack([dose, values])
        - matrix[:, :2] @ np.linalg.lstsq(matrix[:, :2], np.column_stack([dose, values]), rcond=None)[0]
    )
    expected = [stats.pearsonr(left[:, 0], one) for one in left[:, 1:].T]
    np.testing.assert_allclose(found.value, [one.statistic for one in expected], rtol=1e-10)
    assert found.name == "partial_r"


def test_r_of_no_nuisance_has_fishers_limits(rng):
    dose, values = rng.normal(size=20), rng.normal(size=(20, 5))
    expected = [stats.pearsonr(dose, one) for one in values.T]
    r = np.array([one.statistic for one in expected])
    found = partial_r(r * np.sqrt(18 / (1 - r**2)), 18)
    limits = np.array([one.confidence_interval(0.95) for one in expected])
    np.testing.assert_allclose(np.column_stack([found.low, found.high]), limits, rtol=1e-10)


def test_r_of_huge_t_or_one_degree_of_freedom_is_finite_and_within_its_limits():
    t = np.array([-1e150, -3.0, 0, 3, 1e150])
    for df in (1, 2, 1000):
        found = partial_r(t, df)
        assert ((found.low >= -1) & (found.low <= found.value)).all()
        assert ((found.value <= found.high) & (found.high <= 1)).all()
    assert (partial_r(t, 1).low == -1).all()


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (np.tile([0.0, 1], 10), "hedges_g"),
        (np.tile([-0.5, 0.5], 10), "hedges_g"),  # demeaned
        (np.tile([-1.0, 1], 10), "partial_r"),  # half the difference of the groups
        (np.tile([0.0, 10], 10), "partial_r"),
        (np.tile([0.0, 1, 2, 3], 5), "partial_r"),
        (np.tile([0.0, 1, 0.5, 0], 5), "partial_r"),
    ],
)
def test_g_is_of_groups_alone(rng, column, name):
    matrix = np.column_stack([np.ones(20), column])
    contrast = Contrast("c", "c", np.array([[0.0, 1]]), "t")
    model = prepare_model(rng.normal(size=(20, 3)), Design(matrix, ("1", "x"), ()), contrast)
    assert effect_sizes(model, matrix).name == name


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize("df", [3, 18, 1000])
def test_limits_of_eta_squared_are_noncentralities_with_the_observed_f_as_their_tail(rank, df):
    f = np.array([0.01, 0.5, 2, 10, 200, 5000])
    found = partial_eta_squared(f, rank, df)
    low, high = (limit / (1 - limit) * (rank + df + 1) for limit in (found.low, found.high))
    np.testing.assert_allclose(stats.ncf.cdf(f[low > 0], rank, df, low[low > 0]), 0.975, atol=1e-7)
    np.testing.assert_allclose(stats.ncf.cdf(f[high > 0], rank, df, high[high > 0]), 0.025, atol=1e-7)
    assert (stats.f.cdf(f[low == 0], rank, df) <= 0.975).all()
    assert (stats.f.cdf(f[high == 0], rank, df) <= 0.025).all()


def test_eta_squared_is_the_share_of_the_sums_of_squares(rng):
    groups = np.repeat(np.eye(3), 8, axis=0)
    values = rng.standard_normal((24, 4))
    contrast = Contrast("c", "c", np.array([[1.0, -1, 0], [0, 1, -1]]), "f")
    found = effect_sizes(prepare_model(values, Design(groups, tuple("abc"), ()), contrast), groups)
    means = groups @ (groups.T @ values / 8)
    between, total = ((means - values.mean(0)) ** 2).sum(0), ((values - values.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(found.value, between / total, rtol=1e-12)
    assert found.name == "partial_eta_squared"


@pytest.mark.parametrize("df", [1, 2, 17, 1e5])
def test_everything_is_finite_and_ordered(df):
    t = np.concatenate([[0], np.geomspace(1e-300, 1e12, 300)])
    for found in (hedges_g(t, df, 0.1), partial_eta_squared(t, 1, df), partial_eta_squared(t, 4, df)):
        for values in (found.value, found.low, found.high):
            assert np.isfinite(values).all()
            assert (np.diff(values) >= -1e-9 * np.abs(values[1:])).all()
        assert (found.low <= found.high).all()


def test_a_wider_interval_holds_the_narrower():
    narrow, wide = (partial_eta_squared(np.array([3.0, 20]), 2, 30, level) for level in (0.9, 0.99))
    assert (wide.low <= narrow.low).all()
    assert (wide.high > narrow.high).all()
