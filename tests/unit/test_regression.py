import numpy as np
import pytest

from thalgpu.engine.inference.model import Contrast, Design
from thalgpu.engine.inference.regression import prepare_model, statistics, statistics_and_df
from thalgpu.errors import NumericsError, UsageError

METHODS = ("freedman-lane", "ter-braak", "manly", "dekker")
N_SUBJECTS, N_FEATURES, N_PERM = 21, 7, 6
T_CONTRAST = Contrast("difference", "difference", np.array([[1.0, -1, 0, 0, 0]]), "t")
F_CONTRAST = Contrast("any", "any", np.array([[1.0, -1, 0, 0, 0], [0, 1, -1, 0, 0]]), "f")
WITHIN = np.column_stack([-np.ones(N_SUBJECTS), np.repeat([1, 2, 3], 7)]).astype(np.int64)
WHOLE = np.column_stack([np.ones(N_SUBJECTS), -np.repeat(np.arange(1, 8), 3)]).astype(np.int64)
VARIANCES = np.repeat([1, 2, 3], [8, 7, 6])

METHODS_AND_VARIANCES = [
    *(pytest.param(method, None, id=f"{method}-one-variance") for method in METHODS),
    *(pytest.param(method, VARIANCES, id=f"{method}-variance-groups") for method in METHODS if method != "dekker"),
]


def three_groups(rng):
    groups = np.repeat(np.arange(3), 7)[rng.permutation(N_SUBJECTS)]
    covariates = rng.standard_normal((N_SUBJECTS, 2)) * [1.0, 40.0] + [0.0, 300.0]
    matrix = np.column_stack([groups[:, None] == np.arange(3), covariates]).astype(np.float64)
    values = rng.standard_normal((N_SUBJECTS, N_FEATURES)) + 30 + matrix @ rng.standard_normal((5, N_FEATURES))
    return matrix, values


def draw(rng, blocks):
    """Permutations that the blocks allow; the first is the identity."""
    rows = np.arange(N_SUBJECTS)
    drawn = [rows]
    for _ in range(N_PERM - 1):
        if blocks is None:
            drawn.append(rng.permutation(N_SUBJECTS))
        elif blocks is WITHIN:
            drawn.append(np.concatenate([rng.permutation(rows[i : i + 7]) for i in (0, 7, 14)]))
        else:
            drawn.append(rows.reshape(7, 3)[rng.permutation(7)].reshape(-1))
    return np.array(drawn, dtype=np.int32)


def explicit(method, values, matrix, contrast, permutation, signs, variances=None):
    """The statistic by forming the permuted data and solving the least-squares problem anew."""
    move = np.diag(signs) @ np.eye(len(matrix))[permutation]
    weights = contrast.weights
    null_space = np.linalg.svd(weights)[2][len(weights) :].T
    nuisance, tested = matrix @ null_space, matrix @ np.linalg.pinv(weights)
    of_nuisance, of_model = nuisance @ np.linalg.pinv(nuisance), matrix @ np.linalg.pinv(matrix)
    rest = np.eye(len(matrix)) - of_nuisance
    model, shift, data = matrix, 0.0, values
    if method == "freedman-lane":
        data = (move.T @ rest + of_nuisance) @ values
    elif method == "manly":
        data = move.T @ values
    elif method == "ter-braak":
        data = (move.T @ (np.eye(len(matrix)) - of_model) + of_model) @ values
        if not np.array_equal(move, np.eye(len(matrix))):
            shift = weights @ np.linalg.lstsq(matrix, values, rcond=None)[0]
    else:
        model = np.hstack([move @ rest @ tested, nuisance])
        weights = np.eye(len(weights), model.shape[1])
    beta = np.linalg.lstsq(model, data, rcond=None)[0]
    estimate, residual = weights @ beta - shift, data - model @ beta
    if variances is None:
        variance = (residual**2).sum(0) / (len(matrix) - matrix.shape[1])
        spread = weights @ np.linalg.inv(model.T @ model) @ weights.T
        if contrast.kind == "t":
            return estimate[0] / np.sqrt(variance * spread[0, 0]), None
        return (estimate * np.linalg.solve(spread, estimate)).sum(0) / len(weights) / variance, None
    left = np.diag(np.eye(len(matrix)) - of_model)
    found = [welch_of(x, model, left, r, weights, variances) for x, r in zip(estimate.T, residual.T, strict=True)]
    return tuple(np.array(found).T)


def welch_of(estimate, model, left, residual, weights, variances):
    """v or G of one feature and its degrees of freedom, as Winkler et al. 2014 write them."""
    names = np.unique(variances)
    freedom = np.array([left[variances == name].sum() for name in names])
    precision = freedom / np.array([(residual[variances == name] ** 2).sum() for name in names])
    each = dict(zip(names, precision, strict=True))
    information = model.T @ np.diag([each[name] for name in variances]) @ model
    spread = weights @ np.linalg.inv(information) @ weights.T
    share = np.array([each[name] * (variances == name).sum() for name in names])
    rank = len(weights)
    bound = (((1 - share / share.sum()) ** 2) / freedom).sum() / (rank * (rank + 2))
    if rank == 1:
        return estimate[0] / np.sqrt(spread[0, 0]), 1 / (3 * bound)
    explained = estimate @ np.linalg.solve(spread, estimate) / rank
    return explained / (1 + 2 * (rank - 1) * bound), 1 / (3 * bound)


@pytest.mark.parametrize("contrast", [T_CONTRAST, F_CONTRAST], ids=["one", "several"])
@pytest.mark.parametrize(("method", "variances"), METHODS_AND_VARIANCES)
@pytest.mark.parametrize("scheme", ["free", "within", "whole", "flips"])
def test_statistics_equal_those_of_data_that_are_permuted_one_by_one(rng, method, scheme, variances, contrast):
    matrix, values = three_groups(rng)
    blocks = {"within": WITHIN, "whole": WHOLE}.get(scheme)
    permutations = draw(rng, blocks)
    signs = np.ones(permutations.shape, dtype=np.int8)
    if scheme == "flips":
        permutations[:] = np.arange(N_SUBJECTS)
        signs[1:] = rng.choice([-1, 1], signs[1:].shape)
    design = Design(matrix, tuple("abcde"), (contrast,), blocks=blocks, variance_groups=variances)
    model = prepare_model(values, design, contrast, method, sign_flip=scheme == "flips")
    found, df = statistics_and_df(model, permutations, signs if scheme == "flips" else None)
    for p in range(N_PERM):
        expected, freedom = explicit(method, values, matrix, contrast, permutations[p], signs[p], variances)
        # sums of squares about a mean of 30 to 300 lose some three digits
        np.testing.assert_allclose(found[p], expected, rtol=1e-9, atol=1e-10)
        if freedom is not None:
            np.testing.assert_allclose(df[p], freedom, rtol=1e-9)


@pytest.mark.parametrize(("method", "variances"), METHODS_AND_VARIANCES)
def test_every_method_gives_the_observed_statistic_for_the_identity(rng, method, variances):
    matrix, values = three_groups(rng)
    design = Design(matrix, tuple("abcde"), (T_CONTRAST,), variance_groups=variances)
    model = prepare_model(values, design, T_CONTRAST, method)
    identity = np.arange(N_SUBJECTS, dtype=np.int32)[None]
    np.testing.assert_allclose(statistics(model, identity)[0], model.observed, rtol=1e-10)


def test_estimate_is_the_contrast_of_the_coefficients(rng):
    matrix, values = three_groups(rng)
    model = prepare_model(values, Design(matrix, tuple("abcde"), ()), T_CONTRAST)
    beta = np.linalg.lstsq(matrix, values, rcond=None)[0]
    np.testing.assert_allclose(model.estimate, (T_CONTRAST.weights @ beta)[0], rtol=1e-9)


def test_nuisance_that_stays_within_blocks_takes_no_row(rng):
    matrix, values = three_groups(rng)
    block_means = (WITHIN[:, 1:] == [1, 2]).astype(np.float64)
    contrast = Contrast("c", "c", np.eye(7)[4:5], "t")
    design = Design(np.hstack([matrix, block_means]), tuple("abcdefg"), (contrast,), blocks=WITHIN)
    # of the nuisance, the three groups hold the constant; it and the two block means stay, three directions move
    assert prepare_model(values, design, contrast).moved.shape == (N_SUBJECTS, 3)


def test_features_without_any_variation_get_zero(rng):
    matrix, values = three_groups(rng)
    values[:, 0], values[:, 1], values[:, 2] = 0.0, 7.3e5, matrix @ [1.0, 1, 1, 0.3, -0.01]
    permutations = draw(rng, None)
    for contrast in (T_CONTRAST, F_CONTRAST):
        for variances in (None, VARIANCES):
            design = Design(matrix, tuple("abcde"), (), variance_groups=variances)
            found, df = statistics_and_df(prepare_model(values, design, contrast), permutations)
            assert (found[:, :3] == 0).all()
            assert np.isfinite(found).all()
            assert df is None or np.isfinite(df).all()


def test_a_perfect_fit_stays_finite(rng):
    matrix, values = three_groups(rng)
    values[:, 0] = matrix[:, 0]
    model = prepare_model(values, Design(matrix, tuple("abcde"), ()), T_CONTRAST)
    assert 1e6 < model.observed[0] < 1e8


def test_nothing_given_is_written_to(rng):
    matrix, values = three_groups(rng)
    permutations = draw(rng, None)
    for array in (matrix, values, permutations):
        array.setflags(write=False)
    design = Design(matrix, tuple("abcde"), ())
    for method in METHODS:
        statistics(prepare_model(values, design, T_CONTRAST, method), permutations)


def test_flips_need_a_model_prepared_for_them(rng):
    matrix, values = three_groups(rng)
    model = prepare_model(values, Design(matrix, tuple("abcde"), ()), T_CONTRAST)
    permutations = draw(rng, None)
    with pytest.raises(UsageError, match="without sign flips"):
        statistics(model, permutations, np.ones(permutations.shape, dtype=np.int8))


def test_one_sample_mean_under_flips_is_the_usual_t(rng):
    values = rng.standard_normal((12, 5)) + 1
    contrast = Contrast("mean", "mean", np.ones((1, 1)), "t")
    model = prepare_model(values, Design(np.ones((12, 1)), ("mean",), (contrast,)), contrast, sign_flip=True)
    signs = rng.choice(np.array([-1, 1], dtype=np.int8), (4, 12))
    flipped = signs[:, :, None] * values
    expected = flipped.mean(1) / (flipped.std(1, ddof=1) / np.sqrt(12))
    found = statistics(model, np.tile(np.arange(12, dtype=np.int32), (4, 1)), signs)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_dekker_gives_zero_where_the_permuted_direction_is_nuisance(rng):
    tested, nuisance = np.array([1.0, -1, 0, 0, 0, 0]), np.array([0.0, 0, 1, -1, 0, 0])
    matrix = np.column_stack([np.ones(6), tested, nuisance])
    contrast = Contrast("c", "c", np.array([[0.0, 1, 0]]), "t")
    model = prepare_model(rng.standard_normal((6, 3)), Design(matrix, tuple("abc"), ()), contrast, "dekker")
    swapped = np.array([[2, 3, 0, 1, 4, 5]], dtype=np.int32)
    np.testing.assert_array_equal(statistics(model, swapped), 0.0)


def test_a_variance_group_that_is_fitted_exactly_is_named(rng):
    matrix, values = three_groups(rng)
    matrix = np.column_stack([matrix, np.arange(N_SUBJECTS) == 4]).astype(np.float64)
    contrast = Contrast("c", "c", np.array([[1.0, -1, 0, 0, 0, 0]]), "t")
    design = Design(matrix, tuple("abcdef"), (), variance_groups=(np.arange(N_SUBJECTS) == 4) * 8)
    with pytest.raises(NumericsError, match=r"variance group 8 \(1 subjects\)"):
        prepare_model(values, design, contrast)


def test_dekker_with_variance_groups_is_refused(rng):
    matrix, values = three_groups(rng)
    design = Design(matrix, tuple("abcde"), (T_CONTRAST,), variance_groups=VARIANCES)
    with pytest.raises(UsageError, match="assumes one variance"):
        prepare_model(values, design, T_CONTRAST, "dekker")
