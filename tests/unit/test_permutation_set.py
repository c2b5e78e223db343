"""Which permutations a test takes."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inference.permutation_set import (
    interchangeable_rows,
    permutations_from_file,
    plan_permutations,
    row_labels,
)
from thalgpu.engine.inference.regression import prepare_model
from thalgpu.engine.inference.scales import scaled_statistics
from thalgpu.engine.inference.table_design import tree_from_column
from thalgpu.errors import InputError, NumericsError, UsageError

FILE = Path("permidx.csv")
AGE = np.array([31.0, 45, 28, 52, 39, 61, 33, 47])


def within(labels):
    return tree_from_column(labels, whole=False)


def contrast(*weights):
    return Contrast("c", "c", np.atleast_2d(np.array(weights, dtype=np.float64)), "t")


def groups(*covariates, n=4, blocks=None, variance_groups=None, contrasts=((1, -1),)):
    """n against n subjects, and covariates that are not tested."""
    matrix = np.column_stack([np.repeat([1.0, 0], n), np.repeat([0.0, 1], n), *covariates])
    tested = tuple(contrast(*weights, *[0] * (matrix.shape[1] - len(weights))) for weights in contrasts)
    columns = tuple(f"x{i}" for i in range(matrix.shape[1]))
    return Design(matrix, columns, tested, blocks=blocks, variance_groups=variance_groups)


def test_four_against_four_is_seventy_permuted_designs_each_once():
    planned = plan_permutations(groups(), InferenceOptions())
    permutations, signs = planned.rows(0, 70)
    assert (planned.source, planned.n_perm, signs) == ("exhaustive", 70, None)
    np.testing.assert_array_equal(permutations[0], np.arange(8))
    assert len(np.unique(permutations < 4, axis=0)) == 70


def test_zero_takes_all():
    assert plan_permutations(groups(), InferenceOptions(n_perm=0)).n_perm == 70


def test_fewer_than_possible_are_drawn_after_the_identity():
    planned = plan_permutations(groups(), InferenceOptions(n_perm=69, seed=3))
    permutations, _ = planned.rows(0, 69)
    assert (planned.source, planned.seed, permutations.shape) == ("random", 3, (69, 8))
    np.testing.assert_array_equal(permutations[0], np.arange(8))
    assert (permutations[1:] != np.arange(8)).any(axis=1).all()


@pytest.mark.parametrize("n_perm", [50, 10_000])
@pytest.mark.parametrize("sign_flip", [False, True])
def test_number_i_does_not_depend_on_the_range(n_perm, sign_flip):
    planned = plan_permutations(groups(), InferenceOptions(n_perm=n_perm, sign_flip=sign_flip))
    together, signs = planned.rows(0, 40)
    for i in range(40):
        one, sign = planned.rows(i, i + 1)
        np.testing.assert_array_equal(one[0], together[i])
        assert (signs is None) == (not sign_flip)
        if signs is not None and sign is not None:
            np.testing.assert_array_equal(sign[0], signs[i])


def test_flips_leave_everybody_in_place():
    planned = plan_permutations(groups(), InferenceOptions(sign_flip=True))
    permutations, signs = planned.rows(0, 256)
    assert (planned.source, planned.n_perm) == ("exhaustive", 256)
    assert (permutations == np.arange(8)).all()
    assert signs is not None
    assert (signs[0] == 1).all()
    assert len(np.unique(signs, axis=0)) == 256


def test_a_set_survives_pickling_with_its_fingerprint():
    planned = plan_permutations(groups(AGE), InferenceOptions(n_perm=30))
    copied = pickle.loads(pickle.dumps(planned))
    assert copied.fingerprint == planned.fingerprint
    np.testing.assert_array_equal(copied.rows(0, 30)[0], planned.rows(0, 30)[0])


def test_the_fingerprint_tells_seeds_blocks_ties_and_flips_apart():
    blocks = within(np.tile([1, 2], 4))
    few = InferenceOptions(n_perm=20)
    planned = [
        plan_permutations(groups(), few),
        plan_permutations(groups(), InferenceOptions(n_perm=20, seed=1)),
        plan_permutations(groups(), InferenceOptions(n_perm=20, sign_flip=True)),
        plan_permutations(groups(blocks=blocks), few),
        plan_permutations(groups(blocks=blocks), InferenceOptions()),
        plan_permutations(groups(np.repeat([0.0, 1], 4)[::-1], blocks=blocks), InferenceOptions()),
        plan_permutations(groups(AGE, blocks=blocks), InferenceOptions()),
    ]
    assert len({one.fingerprint for one in planned}) == len(planned) - 1  # the last but one has the ties of the fifth
    assert planned[4].fingerprint == planned[5].fingerprint


def test_rows_that_agree_in_every_tested_column_share_a_label():
    labels = row_labels(groups(AGE, contrasts=((1, -1), (0, 1))))
    np.testing.assert_array_equal(labels == labels[0], np.repeat([True, False], 4))


def test_labels_of_all_contrasts_refine_those_of_each():
    design = groups(AGE, contrasts=((1, -1), (0, 0, 1)))
    together = row_labels(design)
    assert len(np.unique(together)) == 8
    assert len(np.unique(row_labels(design, design.contrasts[0]))) == 2


def test_nuisance_variables_and_variance_groups_tell_equal_subjects_apart():
    assert len(np.unique(interchangeable_rows(groups()))) == 2
    assert len(np.unique(interchangeable_rows(groups(AGE)))) == 8
    assert len(np.unique(interchangeable_rows(groups(variance_groups=np.array([1, 2] * 4))))) == 4


def test_with_nuisance_variables_all_orders_are_listed_not_one_of_each_class():
    planned = plan_permutations(groups(AGE), InferenceOptions(n_perm=0))
    assert (planned.source, planned.n_perm) == ("exhaustive", 40_320)
    assert planned.description == (
        "free exchange of 8 subjects: 40,320 distinct permutations; all 40,320 taken. "
        "What is tested has 70: subjects equal in it differ in x2"
    )
    assert plan_permutations(groups(AGE), InferenceOptions(n_perm=10_000)).source == "random"


@pytest.mark.parametrize(
    ("design", "names"),
    [
        (groups(AGE, np.ones(8)), "x2"),  # a constant tells nobody apart
        (groups(AGE, np.arange(8.0)), "x2, x3"),
        (groups(variance_groups=np.array([1, 2] * 4)), "variance groups"),
        (groups(AGE, variance_groups=np.array([1, 2] * 4)), "x2, variance groups"),
        (groups(variance_groups=np.repeat([1, 2], 4)), None),  # tell those apart who differ in what is tested
        (groups(np.repeat([0.0, 1], 4)), None),
    ],
)
def test_it_is_named_what_tells_equal_subjects_apart(design, names):
    _, _, aside = plan_permutations(design, InferenceOptions(n_perm=20)).description.partition("taken at random")
    assert aside == ("" if names is None else f". What is tested has 70: subjects equal in it differ in {names}")


def test_a_list_with_nuisance_variables_gives_the_null_of_the_whole_group(rng):
    """Statistics over the listed orders are those over all 3! 3! 20 orders; one order of each class gives others."""
    design = groups(np.array([1.0, 1, 5, 2, 2, 9]), n=3)
    residual = design.matrix[:, 0] - design.matrix[:, 1]
    nuisance = np.column_stack([np.ones(6), design.matrix[:, 2]])
    effect = residual - nuisance @ np.linalg.lstsq(nuisance, residual, rcond=None)[0]
    values = rng.normal(size=6)

    def null(planned):
        statistics = effect[planned.rows(0, planned.n_perm)[0]] @ values
        return np.array([(statistics <= limit).mean() for limit in np.linspace(-3, 3, 25)])

    everybody = plan_permutations(groups(np.arange(6.0), n=3), InferenceOptions(n_perm=0))
    listed = plan_permutations(design, InferenceOptions(n_perm=0))
    classes = plan_permutations(groups(n=3), InferenceOptions(n_perm=0))
    assert (everybody.n_perm, listed.n_perm, classes.n_perm) == (720, 180, 20)
    np.testing.assert_array_equal(null(listed), null(everybody))
    assert (null(classes) != null(everybody)).any()


def test_a_list_with_nuisance_variables_rejects_as_often_as_it_says(rng):
    """One order of each class of equal tested rows does not: here it rejects 14 % at .05."""
    design = groups(np.arange(6.0)[::-1], n=3)
    model = prepare_model(rng.normal(size=(6, 4000)), design, design.contrasts[0])

    def rejected(planned):
        t = scaled_statistics(model, *planned.rows(0, planned.n_perm), InferenceOptions())
        return ((t >= t[0] - 1e-9 * abs(t[0])).mean(axis=0) <= 0.05 + 1e-9).mean()

    listed = plan_permutations(design, InferenceOptions(n_perm=0))
    classes = plan_permutations(groups(n=3), InferenceOptions(n_perm=0))
    assert (listed.n_perm, classes.n_perm) == (720, 20)
    for planned, rate in ((listed, 0.05), (classes, 0.14)):
        assert abs(rejected(planned) - rate) < 4 * np.sqrt(rate * (1 - rate) / 4000)  # four binomial standard errors


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (
            groups(blocks=within(np.repeat([1, 2], 4))),
            "1 possible permutation, because all .*flip signs",
        ),
        (
            groups(AGE, blocks=within(np.repeat([1, 2], 4))),
            "1 possible permutation, because all",
        ),
        (groups(blocks=within(np.arange(8))), "the blocks let nobody move"),
        (Design(np.ones((5, 1)), ("mean",), (contrast(1),)), "free exchange of 5 subjects: 1 .*--sign-flip"),
    ],
)
def test_nothing_to_exchange_is_refused_in_words(design, words):
    with pytest.raises(NumericsError, match=words):
        plan_permutations(design, InferenceOptions())


def test_a_contrast_that_no_permutation_moves_is_refused_beside_others_but_not_with_flips():
    """The constant of [1, group] stands still however subjects are exchanged."""
    tested = Contrast("mean", "mean", np.array([[1.0, 0]]), "t"), Contrast("slope", "slope", np.array([[0.0, 1]]), "t")
    design = Design(np.column_stack([np.ones(8), AGE]), ("one", "age"), tested)
    with pytest.raises(NumericsError, match=r"contrast 'mean'.*1 possible permutation.*test it alone, with signs"):
        plan_permutations(design, InferenceOptions(n_perm=20))
    assert plan_permutations(design, InferenceOptions(n_perm=20, sign_flip=True)).n_perm == 20


def test_too_many_to_take_all_is_refused_with_the_remedy():
    with pytest.raises(UsageError, match=r"155,117,520 distinct.*--n-perm"):
        plan_permutations(groups(n=15), InferenceOptions(n_perm=0))


def test_a_negative_number_is_refused():
    with pytest.raises(UsageError, match="-1"):
        plan_permutations(groups(), InferenceOptions(n_perm=-1))


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 71)])
def test_numbers_outside_the_set_are_refused(start, stop):
    with pytest.raises(UsageError, match="not among the 70"):
        plan_permutations(groups(), InferenceOptions()).rows(start, stop)


def test_a_file_gives_its_rows_and_signs():
    given = permutations_from_file(np.array([[1, 2, 3], [3, -1, 2]]), block_tree(None, 3), FILE)
    permutations, signs = given.rows(0, 2)
    np.testing.assert_array_equal(permutations, [[0, 1, 2], [2, 0, 1]])
    np.testing.assert_array_equal(signs, [[1, 1, 1], [1, -1, 1]])
    assert (given.source, given.description) == ("file", "2 permutations from permidx.csv")


def test_a_file_without_the_identity_gets_it_first():
    given = permutations_from_file(np.array([[3, 1, 2]]), block_tree(None, 3), FILE)
    permutations, signs = given.rows(0, 2)
    np.testing.assert_array_equal(permutations, [[0, 1, 2], [2, 0, 1]])
    assert signs is None
    assert given.description.endswith("the identity put first")


def test_an_identity_further_down_is_moved_to_the_front_and_counted_once():
    given = permutations_from_file(np.array([[3, 1, 2], [-1, 2, 3], [1, 2, 3]]), block_tree(None, 3), FILE)
    permutations, signs = given.rows(0, 3)
    np.testing.assert_array_equal(permutations, [[0, 1, 2], [2, 0, 1], [0, 1, 2]])
    np.testing.assert_array_equal(signs, [[1, 1, 1], [1, 1, 1], [-1, 1, 1]])
    assert given.description.endswith("the identity put first")


@pytest.mark.parametrize("broken", [[3, 2, 1, 4], [-1, 2, 3, 4]])
def test_a_file_that_breaks_the_blocks_is_refused_by_the_row(broken):
    tree = block_tree(tree_from_column(np.array([1, 1, 2, 2]), whole=True), 4)
    with pytest.raises(InputError, match=r"breaks the exchangeability blocks \(permidx.csv:permutation 3\)"):
        permutations_from_file(np.array([[1, 2, 3, 4], [3, 4, 1, 2], broken]), tree, FILE)
