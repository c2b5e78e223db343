import numpy as np
import pytest
from scipy import special, stats

from thalgpu.engine.inference.beta_tails import z_of_f, z_of_t
from thalgpu.engine.inference.describe import describe
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inference.regression import prepare_model, statistics, statistics_and_df
from thalgpu.engine.inference.scales import f_to_z, scaled_statistics, t_to_z, to_scale
from thalgpu.errors import UsageError

# z of equal p, from the incomplete beta function with 60 digits (mpmath)
FAR_T = [
    (5.0, 1e6, 11.267537882),
    (5.0, 1e100, 47.838375537),
    (1e5, 60.0, 59.470133282),
    (1e5, 1e6, 1269.569531437),
]
VARIANCES = np.repeat([1, 2], 10)


def a_model(rng, *, kind="t", variances=None):
    matrix = np.column_stack([np.ones(20), np.arange(20) % 2, rng.standard_normal(20)])
    weights = np.eye(3)[1:2] if kind == "t" else np.eye(3)[1:]
    contrast = Contrast("c", "c", weights, kind)
    design = Design(matrix, tuple("abc"), (contrast,), variance_groups=variances)
    permutations = np.array([np.arange(20), rng.permutation(20)], dtype=np.int32)
    return prepare_model(rng.standard_normal((20, 6)), design, contrast), permutations


@pytest.mark.parametrize("df", [1, 2, 5, 18, 79, 1000])
def test_z_of_t_has_the_p_of_t(df):
    t = np.linspace(-6, 6, 241)
    z = t_to_z(t, df)
    # where p is not near 1, whose digits are lost
    np.testing.assert_allclose(stats.norm.sf(z[t > 0]), stats.t.sf(t[t > 0], df), rtol=1e-10)


@pytest.mark.parametrize(("df", "t", "z"), FAR_T)
def test_z_of_t_is_right_where_p_vanishes(df, t, z):
    assert z_of_t(np.array([t]), np.array([df]))[0] == pytest.approx(z, rel=1e-9)
    if t < 1e27:
        assert t_to_z(np.array([t]), df)[0] == pytest.approx(z, rel=1e-9)


@pytest.mark.parametrize("df", [1, 4, 79, 1e5])
def test_z_is_odd_and_proportional_to_t_near_zero(df):
    t = np.array([1e-300, 1e-20, 1e-8, 1e-4])
    slope = np.exp(special.gammaln((df + 1) / 2) - special.gammaln(df / 2)) * np.sqrt(2 / df)
    # gammaln of 5e4 has an error of 1e-11
    np.testing.assert_allclose(t_to_z(t, df), slope * t, rtol=1e-8)
    np.testing.assert_array_equal(t_to_z(-t, df), -t_to_z(t, df))
    assert t_to_z(np.zeros(1), df)[0] == 0


@pytest.mark.parametrize("df", [1.0, 3.0, 79.0, 5000.0])
def test_the_table_of_t_equals_the_function(rng, df):
    t = np.concatenate([2 * rng.standard_normal(5000), np.exp(rng.uniform(-30, 60, 5000))])
    # the incomplete beta function itself has an error of 1e-12 at 5000 degrees of freedom
    np.testing.assert_allclose(t_to_z(t, df), z_of_t(t, np.full(t.shape, df)), rtol=1e-11)


@pytest.mark.parametrize("rank", [1, 2, 7, 40])
@pytest.mark.parametrize("df", [1.0, 18.0, 2000.0])
def test_the_table_of_f_equals_the_function(rng, rank, df):
    f = np.concatenate([2 * rng.standard_normal(3000) ** 2, np.exp(rng.uniform(-69, 60, 3000))])
    np.testing.assert_allclose(f_to_z(f, rank, df), z_of_f(f, rank, np.full(f.shape, df)), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("rank", "df"), [(1, 10), (2, 18), (5, 79)])
def test_z_of_f_has_the_p_of_f(rank, df):
    f = np.geomspace(1e-3, 100, 200)
    z = f_to_z(f, rank, df)
    p = stats.f.sf(f, rank, df)
    np.testing.assert_allclose(stats.norm.sf(z[z > 0]), p[z > 0], rtol=1e-10)
    np.testing.assert_allclose(stats.norm.cdf(z[z < 0]), stats.f.cdf(f, rank, df)[z < 0], rtol=1e-10)


def test_z_is_finite_and_rises_with_the_statistic():
    t = np.concatenate([[0], np.geomspace(1e-300, 1e300, 2000)])
    for df in (1, 5, 79, 1e6):
        for z in (t_to_z(t, df), f_to_z(t, 1, df), f_to_z(t, 3, df)):
            assert np.isfinite(z).all()
            assert (np.diff(z) >= 0).all()


def test_degrees_of_freedom_may_differ_between_features():
    t, df = np.array([[-1.0, 2.0], [1e9, 0.0]]), np.array([[3.3, 7.7], [1.1, 2.0]])
    z = t_to_z(t, df)
    np.testing.assert_allclose(stats.norm.sf(z[:, 1]), stats.t.sf(t[:, 1], df[:, 1]), rtol=1e-12)
    assert z[0, 0] == -t_to_z(np.array([1.0]), np.array([3.3]))[0]
    f = f_to_z(np.abs(t), 2, df)
    assert stats.norm.sf(f[0, 0]) == pytest.approx(stats.f.sf(1.0, 2, 3.3), rel=1e-12)
    assert np.isfinite(f).all()


def test_correlation_is_that_of_the_residuals(rng):
    model, permutations = a_model(rng)
    r = scaled_statistics(model, permutations, None, InferenceOptions(pearson=True))
    tested = model.split.effect[:, 0]
    expected = [np.corrcoef(tested, column)[0, 1] for column in model.values.T]
    np.testing.assert_allclose(r[0], expected, rtol=1e-12)


def test_explained_share_is_that_of_the_sums_of_squares(rng):
    model, permutations = a_model(rng, kind="f")
    share = scaled_statistics(model, permutations, None, InferenceOptions(pearson=True))
    expected = ((model.split.effect.T @ model.values) ** 2).sum(0) / (model.values**2).sum(0)
    np.testing.assert_allclose(share[0], expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["t", "f"])
def test_variance_groups_go_to_z_by_their_own_degrees_of_freedom(rng, kind):
    model, permutations = a_model(rng, kind=kind, variances=VARIANCES)
    z = scaled_statistics(model, permutations, None, InferenceOptions(statistic_scale="z"))
    found, df = statistics_and_df(model, permutations)
    p = stats.t.sf(found, df) if kind == "t" else stats.f.sf(found, 2, df)
    np.testing.assert_allclose(stats.norm.sf(z), p, rtol=1e-10)


def test_the_t_scale_is_left_alone(rng):
    model, permutations = a_model(rng)
    found = scaled_statistics(model, permutations, None, InferenceOptions())
    np.testing.assert_array_equal(found, statistics(model, permutations))


@pytest.mark.parametrize(
    ("options", "variances"),
    [
        (InferenceOptions(pearson=True), VARIANCES),
        (InferenceOptions(pearson=True, statistic_scale="z"), None),
        (InferenceOptions(statistic_scale="z"), VARIANCES),
    ],
)
def test_scales_without_a_meaning_are_refused(rng, options, variances):
    model, permutations = a_model(rng, variances=variances)
    with pytest.raises(UsageError):
        to_scale(statistics(model, permutations), model, options)


@pytest.mark.parametrize(
    ("kind", "variances", "pearson", "name"),
    [
        ("t", None, False, "t"),
        ("f", None, False, "f"),
        ("t", VARIANCES, False, "v"),
        ("f", VARIANCES, False, "g"),
        ("t", None, True, "r"),
        ("f", None, True, "rsq"),
    ],
)
def test_each_statistic_has_its_name(rng, kind, variances, pearson, name):
    model, _ = a_model(rng, kind=kind, variances=variances)
    matrix = np.column_stack([model.split.effect, model.split.nuisance])
    assert describe(model, matrix, InferenceOptions(pearson=pearson)).statistic == name
