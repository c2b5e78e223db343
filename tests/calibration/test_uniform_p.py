"""Under the null hypothesis p is uniform: every method, kind of block, and statistic, on data that need them.

A case is 40 small studies of 100 independent features, each study with a design and permutations of its own: 4,000 p,
compared with the uniform distribution by Kolmogorov and Smirnov's test, which sees a deviation of 0.03. p takes the
values 1/n, 2/n, …, so it is first spread evenly down to the value before. Seeds are fixed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

from thalgpu.engine.inference.permutation_test import permutation_test

N_STUDIES, N_FEATURES, N_PERM = 40, 100, 100
TOO_RARE = 0.001
"""Of some 30 cases, a correct program fails one in about 3 % of all choices of seeds."""

Study = dict[str, Any]


def p_values(make: Callable[[np.random.Generator], Study], **options: Any):
    """p of all features of all studies, spread evenly."""
    spread = []
    for number in range(N_STUDIES):
        rng = np.random.default_rng([number, 20260])
        result = permutation_test(**{"n_perm": N_PERM, "seed": number, **make(rng), **options})
        spread.append(result.p[-1] - rng.uniform(size=N_FEATURES) / result.n_perm)
    return np.concatenate(spread)


def is_uniform(p):
    return stats.kstest(p, "uniform").pvalue > TOO_RARE


def with_intercept(*columns):
    return np.column_stack([np.ones(len(columns[0])), *columns])


def correlated_nuisance(rng):
    """A tested column that correlates .6 with a nuisance column, whose effect is as large as the skewed noise."""
    nuisance = rng.normal(size=20)
    tested = 0.6 * nuisance + 0.8 * rng.normal(size=20)
    noise = rng.gamma(2.0, size=(20, N_FEATURES)) / np.sqrt(2)
    return {"Y": nuisance[:, None] + noise, "X": with_intercept(tested, nuisance), "contrasts": [0, 1, 0]}


@pytest.mark.parametrize("method", ["freedman-lane", "ter-braak", "manly", "dekker"])
def test_methods_with_correlated_nuisance(method):
    assert is_uniform(p_values(correlated_nuisance, method=method))


@pytest.mark.parametrize("method", ["freedman-lane", "ter-braak", "manly", "dekker"])
def test_methods_two_sided(method):
    assert is_uniform(p_values(correlated_nuisance, method=method, two_sided=True))


def small_groups(rng):
    """Four against four: all 70 permutations."""
    group = np.repeat([1.0, 0.0], 4)
    return {"Y": rng.exponential(size=(8, N_FEATURES)), "X": np.column_stack([group, 1 - group]), "contrasts": [1, -1]}


def test_exhaustive_permutations():
    assert is_uniform(p_values(small_groups, n_perm=0))


def sites(rng):
    """Subjects of four sites whose means differ widely; the tested column varies within sites, and leans with them."""
    site = np.repeat(np.arange(4), 5)
    tested = rng.normal(size=20) + site
    shift = 3 * site[:, None] + rng.normal(size=(4, N_FEATURES))[site]
    return {"Y": shift + rng.normal(size=(20, N_FEATURES)), "X": with_intercept(tested), "contrasts": [0, 1]}, site


def families(rng):
    """Ten families of three who resemble each other; the tested column is one of whole families."""
    family = np.repeat(np.arange(10), 3)
    alike = (
        2 * rng.normal(size=(10, N_FEATURES))[family]
        + rng.normal(size=(30, N_FEATURES)) * np.tile([1, 2, 3], 10)[:, None]
    )
    return {"Y": alike, "X": with_intercept(rng.normal(size=10)[family]), "contrasts": [0, 1]}, family


def twins(rng):
    """Ten pairs of twins; the tested column has a share of the pair and one of each twin."""
    pair = np.repeat(np.arange(10), 2)
    alike = 2 * rng.normal(size=(10, N_FEATURES))[pair] + rng.normal(size=(20, N_FEATURES))
    tested = 1.5 * rng.normal(size=10)[pair] + rng.normal(size=20)
    return {"Y": alike, "X": with_intercept(tested), "contrasts": [0, 1]}, pair


def only_within(labels):
    return np.column_stack([np.full(len(labels), -1), labels + 1])


def only_whole(labels):
    return np.column_stack([np.ones(len(labels), dtype=int), -(labels + 1)])


def whole_and_within(labels):
    return np.column_stack([np.ones(len(labels), dtype=int), labels + 1, np.arange(1, len(labels) + 1)])


def mixed(labels):
    """Half of the pairs are shuffled as wholes, the other half inside: two kinds of pairs that never meet."""
    half = (labels >= 5).astype(int)
    kind = np.where(half == 0, 1, -2)  # pairs of the first kind change places, pairs of the second stay
    inner = np.where(half == 0, -(labels + 1), labels + 1)
    return np.column_stack([np.full(len(labels), -1), kind, inner, np.arange(1, len(labels) + 1)])


BLOCKS = {
    "within": (sites, only_within),
    "whole": (families, only_whole),
    "whole and within": (twins, whole_and_within),
    "multi-level": (twins, mixed),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks(kind):
    make, columns = BLOCKS[kind]

    def in_blocks(rng):
        study, labels = make(rng)
        return {**study, "blocks": columns(labels)}

    assert is_uniform(p_values(in_blocks))


@pytest.mark.parametrize("make", [sites, families, twins])
def test_p_is_far_from_uniform_where_these_blocks_are_ignored(make):
    """The data of the test above do need their blocks."""
    assert stats.kstest(p_values(lambda rng: make(rng)[0]), "uniform").pvalue < 1e-6


def one_sample(rng):
    """Symmetric errors, the spread of each subject its own: what sign flips are for."""
    spread = rng.uniform(0.2, 3, 14)[:, None]
    return {"Y": spread * rng.laplace(size=(14, N_FEATURES)), "X": np.ones((14, 1)), "contrasts": [1]}


@pytest.mark.parametrize("two_sided", [False, True])
def test_sign_flips(two_sided):
    assert is_uniform(p_values(one_sample, sign_flip=True, two_sided=two_sided))


def paired_flips(rng):
    """Pairs that share their sign: blocks that flip as wholes."""
    pair = np.repeat(np.arange(10), 2)
    alike = 2 * rng.laplace(size=(10, N_FEATURES))[pair] + rng.normal(size=(20, N_FEATURES))
    return {"Y": alike, "X": np.ones((20, 1)), "contrasts": [1], "blocks": only_whole(pair)}


def test_sign_flips_of_whole_blocks():
    assert is_uniform(p_values(paired_flips, sign_flip=True))


def three_groups(rng):
    """Three groups and a covariate with an effect."""
    group = np.repeat(np.arange(3), 7)
    covariate = rng.normal(size=21) + 0.5 * group
    design = np.column_stack([group[:, None] == np.arange(3), covariate]).astype(float)
    return {"Y": covariate[:, None] + rng.normal(size=(21, N_FEATURES)), "X": design, "contrasts": [1, -1, 0, 0]}


F_TEST = np.array([[1.0, -1, 0, 0], [0, 1, -1, 0]])


@pytest.mark.parametrize("pearson", [False, True], ids=["t", "r"])
def test_t_contrasts(pearson):
    assert is_uniform(p_values(three_groups, pearson=pearson))


@pytest.mark.parametrize("pearson", [False, True], ids=["F", "R²"])
def test_f_tests(pearson):
    assert is_uniform(p_values(lambda rng: {**three_groups(rng), "f_tests": [F_TEST]}, pearson=pearson))


@pytest.mark.parametrize("method", ["ter-braak", "manly", "dekker"])
def test_f_tests_by_other_methods(method):
    assert is_uniform(p_values(lambda rng: {**three_groups(rng), "f_tests": [F_TEST]}, method=method))


def unequal_spread(rng, scale=1):
    """The smallest of three groups spreads most, which Student's t and F take for effects."""
    group = np.repeat(np.arange(3), np.array([20, 12, 8]) * scale)
    noise = np.array([1.0, 2.0, 4.0])[group, None] * rng.normal(size=(len(group), N_FEATURES))
    design = (group[:, None] == np.arange(3)).astype(float)
    return {"Y": noise, "X": design, "contrasts": [1, 0, -1], "two_sided": True}, group


UNEQUAL_F_TEST = F_TEST[:, :3]


@pytest.mark.parametrize("method", ["freedman-lane", "ter-braak", "manly"])
@pytest.mark.parametrize("f_tests", [None, [UNEQUAL_F_TEST]], ids=["v", "G"])
def test_variance_groups_that_differ(f_tests, method):
    """Permutation of v and G is valid in large samples; here of 160 subjects."""

    def grouped(rng):
        study, group = unequal_spread(rng, scale=4)
        return {**study, "f_tests": f_tests, "variance_groups": group}

    assert is_uniform(p_values(grouped, method=method))


@pytest.mark.parametrize("f_tests", [None, [UNEQUAL_F_TEST]], ids=["v instead of t", "G instead of F"])
def test_variance_groups_help_in_small_samples_too(f_tests):
    """Of 40 subjects: the distance from uniform falls to a third or less of what one variance for all gives."""

    def one_variance(rng):
        return {**unequal_spread(rng)[0], "f_tests": f_tests}

    def a_variance_a_group(rng):
        study, group = unequal_spread(rng)
        return {**study, "f_tests": f_tests, "variance_groups": group}

    one, several = (stats.kstest(p_values(make), "uniform").statistic for make in (one_variance, a_variance_a_group))
    assert one > 0.12
    assert several < one / 3


@pytest.mark.parametrize("f_tests", [None, [F_TEST]], ids=["v", "G"])
def test_a_covariate_beside_variance_groups_makes_p_a_little_small(f_tests):
    """v divides an ordinary estimate by the error of a weighted one, which with a covariate is smaller: about 6 % of p
    are at or below .05.
    """

    def grouped(rng):
        study, group = unequal_spread(rng, scale=4)
        covariate = rng.normal(size=len(group)) + 0.5 * group
        design, values = np.column_stack([study["X"], covariate]), study["Y"] + covariate[:, None]
        return {
            **study,
            "Y": values,
            "X": design,
            "contrasts": [1, 0, -1, 0],
            "f_tests": f_tests,
            "variance_groups": group,
        }

    assert 0.045 < np.mean(p_values(grouped) <= 0.05) < 0.075  # standard error 0.0035


@pytest.mark.parametrize("f_tests", [None, [F_TEST]], ids=["t", "F"])
def test_z_scale_has_the_same_p(f_tests):
    def make(rng):
        return {**three_groups(rng), "f_tests": f_tests}

    np.testing.assert_array_equal(p_values(make, statistic_scale="z"), p_values(make))


def test_enhanced_maps_of_independent_features():
    """Features that touch nobody: TFCE only changes the scale, so that each has a p of its own."""
    nobody = {"adjacency": csr_array((N_FEATURES, N_FEATURES)), "tfce": True, "two_sided": True}
    spread = []
    for number in range(N_STUDIES):
        rng = np.random.default_rng([20261, number])
        result = permutation_test(**three_groups(rng), n_perm=N_PERM, seed=number, **nobody)
        spread.append(result.p_tfce[0] - rng.uniform(size=N_FEATURES) / N_PERM)
    assert is_uniform(np.concatenate(spread))


def test_early_stopping_keeps_p_valid():
    """p ≤ a no more often than a, at all a that early stopping after 10 exceedances can give."""
    p = []
    for number in range(N_STUDIES):
        rng = np.random.default_rng([20262, number])
        p.append(permutation_test(**correlated_nuisance(rng), n_perm=500, seed=number, stop_after=10).p[0])
    p = np.concatenate(p)
    for a in (0.02, 0.05, 0.1, 0.25, 0.5):
        assert np.count_nonzero(p <= a) <= stats.binom(len(p), a).isf(TOO_RARE)
        assert np.count_nonzero(p <= a) >= stats.binom(len(p), 0.9 * a).ppf(TOO_RARE)  # nor is it needlessly large


@pytest.mark.parametrize("tail", ["gpd", "gamma"])
def test_fitted_tails_keep_small_p_calibrated(tail):
    p = []
    for number in range(N_STUDIES):
        rng = np.random.default_rng([20263, number])
        p.append(permutation_test(**three_groups(rng), n_perm=300, seed=number, tail=tail).p[0])
    p = np.concatenate(p)
    for a in (0.01, 0.02, 0.05):
        low, high = stats.binom(len(p), a).ppf([TOO_RARE, 1 - TOO_RARE])
        assert low <= np.count_nonzero(p <= a) <= high
