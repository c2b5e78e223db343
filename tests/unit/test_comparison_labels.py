"""Who is compared with whom under permutation, and how subjects are weighted."""

from itertools import combinations

import numpy as np
import pytest

from thalgpu.engine.comparison.labels import comparisons, residual_weights
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.errors import NumericsError

LABELS = ("b", "a", "c", "a", "b", "c", "a", "b", "a")
STRATUM = np.array([1, 1, 1, 2, 2, 1, 1, 1, 2])
STRATA = np.column_stack([np.full(9, -1), STRATUM])  # PALM: the strata stay, their members are exchanged


def of(labels=LABELS, blocks=None, n_perm=60):
    return comparisons(labels, InferenceOptions(n_perm=n_perm, seed=4, two_sided=True), blocks)


def test_every_pair_is_compared_and_then_all_groups():
    found = of()
    assert [one.groups for one in found] == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    assert [one.label for one in found] == ["aMinusB", "aMinusC", "bMinusC", "allGroups"]
    assert [one.is_pair for one in found] == [True, True, True, False]


def test_two_groups_have_no_comparison_of_all():
    assert [one.groups for one in of(("a", "b", "a", "b"))] == [("a", "b")]


def test_the_first_permutation_leaves_the_groups_as_they_are():
    for one in of():
        weights = one.weights([0], len(LABELS))[0]
        for group, row in zip(one.groups, weights, strict=True):
            inside = np.array(LABELS) == group
            np.testing.assert_array_equal(row, inside / inside.sum())


@pytest.mark.parametrize("blocks", [None, STRATA], ids=["free", "strata"])
def test_permuted_groups_keep_their_sizes_and_share_the_members_of_the_comparison_alone(blocks):
    for one in of(blocks=blocks):
        weights = one.weights(range(one.permutations.n_perm), len(LABELS))
        np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-15)
        taken = weights > 0
        sizes = [LABELS.count(group) for group in one.groups]
        assert (taken.sum(axis=2) == sizes).all()
        assert (taken.sum(axis=1) == np.isin(LABELS, one.groups)).all(), "each member once, and nobody else"


def test_permutations_within_strata_keep_how_many_of_each_stratum_a_group_holds():
    for one in of(blocks=STRATA):
        taken = one.weights(range(one.permutations.n_perm), len(LABELS)) > 0
        for stratum in (1, 2):
            counts = taken[:, :, stratum == STRATUM].sum(axis=2)
            assert (counts == counts[0]).all()
        assert len(np.unique(taken.reshape(len(taken), -1), axis=0)) > 1


def test_all_permutations_are_all_ways_to_divide_the_members():
    one = of(n_perm=0)[0]
    first = one.weights(range(one.permutations.n_perm), len(LABELS))[:, 0] > 0
    expected = {frozenset(chosen) for chosen in combinations(one.members.tolist(), LABELS.count("a"))}
    assert len(first) == len(expected)
    assert {frozenset(np.flatnonzero(row).tolist()) for row in first} == expected


def test_weights_of_chosen_permutations_are_those_of_all_of_them():
    one = of()[3]
    whole = one.weights(range(60), len(LABELS))
    np.testing.assert_array_equal(one.weights([7, 3, 59], len(LABELS)), whole[[7, 3, 59]])


@pytest.mark.parametrize(
    "labels", [("a", "a", "b", "b"), ("a", "a", "b", "b", "b"), ("a", "a", "b", "b", "c", "c", "c")]
)
def test_permutations_that_leave_members_together_are_recognised(labels):
    for one in of(labels, n_perm=0):
        weights = one.weights(range(one.permutations.n_perm), len(labels))
        parts = [{tuple(row) for row in groups} for groups in weights]
        expected = [part == parts[0] for part in parts]
        np.testing.assert_array_equal(one.unchanged(range(len(parts))), expected)
        sizes = [labels.count(group) for group in one.groups]
        assert sum(expected) == (2 if sizes[0] == sizes[1] else 1), "two groups of one size can exchange their names"


def test_shares_are_of_the_members():
    np.testing.assert_allclose(of()[3].shares, [4 / 9, 3 / 9, 2 / 9])
    np.testing.assert_allclose(of()[1].shares, [4 / 6, 2 / 6])


def residualised(affinities, covariates):
    """Each entry less its regression on the covariates, its mean kept, by least squares."""
    centred = covariates - covariates.mean(axis=0)
    model = np.column_stack([np.ones(len(centred)), centred])
    beta = np.linalg.lstsq(model, affinities, rcond=None)[0]
    return affinities - centred @ beta[1:]


@pytest.mark.parametrize("kind", ["one", "two", "equal", "constant", "nothing"])
def test_residual_weights_average_affinities_regressed_entry_by_entry(rng, kind):
    affinities = rng.uniform(size=(9, 15))
    age, sex = rng.normal(40, 9, size=9), np.arange(9) % 2.0
    covariates = {
        "one": np.column_stack([age]),
        "two": np.column_stack([age, sex]),
        "equal": np.column_stack([age, 2 * age + 1, sex]),
        "nothing": np.full((9, 1), 0.1),
        "constant": np.column_stack([np.full(9, 3.0), age]),
    }[kind]
    weights = of()[3].weights(range(5), 9)
    expected = weights @ residualised(affinities, covariates)
    np.testing.assert_allclose(residual_weights(weights, covariates) @ affinities, expected, rtol=1e-10)
    np.testing.assert_allclose(residual_weights(weights, covariates).sum(axis=2), 1, rtol=1e-12)


def test_without_covariates_weights_stay_as_they_are():
    weights = of()[0].weights([1], 9)
    assert residual_weights(weights, None) is weights


def test_one_group_is_refused():
    with pytest.raises(NumericsError, match="all subjects are of one group, 'a'"):
        of(("a", "a", "a"))


def test_a_group_of_one_is_refused():
    with pytest.raises(NumericsError, match="a group of one: 'b'"):
        of(("a", "a", "b", "c", "c"))


def test_strata_within_which_nobody_can_be_exchanged_are_refused():
    with pytest.raises(NumericsError, match="--blocks"):
        of(("a", "a", "b", "b"), np.array([[-1, 1], [-1, 1], [-1, 2], [-1, 2]]))
