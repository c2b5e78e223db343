"""`permutation_test` on arrays: what it gives back, and what it refuses, in one clear line."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import coo_array, csr_array, diags_array

import thalgpu
from thalgpu.engine.inference import arguments
from thalgpu.engine.inference.adjacency import from_sparse, mesh_neighbours, volume_neighbours
from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.model import Contrast, InferenceOptions, Neighbours
from thalgpu.engine.inference.permutation_set import permutations_from_file
from thalgpu.engine.inference.permutation_test import PermutationTest, permutation_test
from thalgpu.errors import NumericsError, ThalgpuError, UsageError

N_SUBJECTS, N_FEATURES = 14, 6
GROUP = np.repeat([1.0, 0.0], 7)
AGE = np.linspace(-1, 1, N_SUBJECTS) ** 3 + GROUP
X = np.column_stack([GROUP, 1 - GROUP, AGE])
DIFFERENCE, SLOPE = [1, -1, 0], [0, 0, 1]
FIRST = np.arange(N_SUBJECTS) < 2
CHAIN = diags_array([np.ones(N_FEATURES - 1)] * 2, offsets=[-1, 1])


@pytest.fixture
def Y(rng):
    return rng.normal(size=(N_SUBJECTS, N_FEATURES)) + (np.arange(N_FEATURES) < 2) * 3 * GROUP[:, None]


def with_nan(Y):
    return np.where(np.arange(Y.size).reshape(Y.shape) == 8, np.nan, Y)


def drawn(rows):
    return permutations_from_file(np.array(rows), block_tree(None, len(rows[0])), Path("permutations.csv"))


# what is refused: call → class and a part of the message
REFUSED = {
    "NaN": (lambda Y: permutation_test(with_nan(Y), X, DIFFERENCE), NumericsError, "NaN"),
    "infinity": (lambda Y: permutation_test(Y / 0.0, X, DIFFERENCE), NumericsError, "infinity"),
    "tiny values": (lambda Y: permutation_test(Y * 1e-160, X, DIFFERENCE), NumericsError, "below 1e-100"),
    "huge values": (lambda Y: permutation_test(Y * 1e200, X, DIFFERENCE), NumericsError, "beyond 1e"),
    "other subjects": (lambda Y: permutation_test(Y[1:], X, DIFFERENCE), UsageError, "Y has 13 rows, X has 14"),
    "one map only": (lambda Y: permutation_test(Y[:, 0], X, DIFFERENCE), UsageError, "subjects by features"),
    "volumes": (lambda Y: permutation_test(Y[None], X, DIFFERENCE), UsageError, "subjects by features"),
    "no features": (lambda Y: permutation_test(Y[:, :0], X, DIFFERENCE), UsageError, "(14, 0)"),
    "complex values": (lambda Y: permutation_test(Y + 1j, X, DIFFERENCE), UsageError, "Y must be an array of real"),
    "words for values": (lambda Y: permutation_test([["a"]] * 14, X, DIFFERENCE), UsageError, "Y must be an array"),
    "words in the design": (lambda Y: permutation_test(Y, [["a"]] * 14, [1]), UsageError, "X must be an array"),
    "ragged design": (lambda Y: permutation_test(Y, [[1.0], [1.0, 2.0]], [1]), UsageError, "X must be an array"),
    "design of one column, flat": (lambda Y: permutation_test(Y, GROUP, [1]), UsageError, "subjects by columns"),
    "rank deficiency": (
        lambda Y: permutation_test(Y, np.column_stack([X, np.ones(14)]), [1, -1, 0, 0]),
        NumericsError,
        "x4 = x1 + x2",
    ),
    "permutations that leave the blocks": (
        lambda Y: permutation_test(
            Y, X, DIFFERENCE, blocks=np.tile([1, 2], 7), permutations=drawn([range(1, 15), range(14, 0, -1)])
        ),
        UsageError,
        "made for other blocks",
    ),
    "too few subjects": (lambda Y: permutation_test(Y[6:9], X[6:9], DIFFERENCE), NumericsError, "3 subjects"),
    "yes for True": (lambda Y: permutation_test(Y, X, DIFFERENCE, two_sided="yes"), UsageError, "True or False"),
    "words for a power": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, tfce=True, tfce_e="x", adjacency=CHAIN),
        UsageError,
        "tfce_e 'x' is not possible",
    ),
    "words for a height": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, cluster_threshold="3", adjacency=CHAIN),
        UsageError,
        "cluster_threshold '3'",
    ),
    "a number for permutations": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, permutations=100),
        UsageError,
        "permutations must be a PermutationSet",
    ),
    "a constant beside others": (
        lambda Y: permutation_test(Y, np.column_stack([AGE, np.ones(14)]), np.eye(2)),
        NumericsError,
        "contrast 'c2': free exchange",
    ),
    "unknown method": (lambda Y: permutation_test(Y, X, DIFFERENCE, method="shuffle"), UsageError, "freedman-lane"),
    "contrast too short": (lambda Y: permutation_test(Y, X, [1, -1]), UsageError, "X has 3 columns"),
    "no contrasts": (lambda Y: permutation_test(Y, X, np.empty((0, 3))), UsageError, "no contrasts and no F tests"),
    "contrast of zeros": (lambda Y: permutation_test(Y, X, [0, 0, 0]), NumericsError, "'c1' is zero"),
    "contrast with NaN": (lambda Y: permutation_test(Y, X, [1, np.nan, 0]), NumericsError, "not finite"),
    "F test of no contrast": (
        lambda Y: permutation_test(Y, X, [DIFFERENCE, SLOPE], [[0, 0]]),
        UsageError,
        "names no contrast",
    ),
    "F tests that are none": (lambda Y: permutation_test(Y, X, DIFFERENCE, 3), UsageError, "a list of F tests"),
    "TFCE without neighbours": (lambda Y: permutation_test(Y, X, DIFFERENCE, tfce=True), UsageError, "adjacency"),
    "clusters without neighbours": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, cluster_threshold=2.0),
        UsageError,
        "adjacency",
    ),
    "one-way neighbours": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, tfce=True, adjacency=coo_array(np.triu(CHAIN.toarray()))),
        NumericsError,
        "not symmetric",
    ),
    "dense neighbours": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, tfce=True, adjacency=CHAIN.toarray()),
        NumericsError,
        "sparse",
    ),
    "neighbours of other features": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, tfce=True, adjacency=csr_array((4, 4))),
        UsageError,
        "adjacency of 4 features, Y has 6",
    ),
    "blocks of other subjects": (lambda Y: permutation_test(Y, X, DIFFERENCE, blocks=[1, 2]), UsageError, "2 rows"),
    "block NaN": (lambda Y: permutation_test(Y, X, DIFFERENCE, blocks=np.full(14, np.nan)), UsageError, "NaN"),
    "half a block": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, blocks=np.column_stack([-np.ones(14), np.arange(14) / 2])),
        UsageError,
        "whole numbers",
    ),
    "blocks of one group each": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, blocks=GROUP),
        NumericsError,
        "1 possible permutation",
    ),
    "groups of other subjects": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, variance_groups=[0, 1]),
        UsageError,
        "2 rows",
    ),
    "groups in two columns": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, variance_groups=np.ones((14, 2))),
        UsageError,
        "one label a subject",
    ),
    "a variance of one subject": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, variance_groups=np.eye(14)[3]),
        UsageError,
        "variance group 1.0 has one subject",
    ),
    "variance of two who are fitted exactly": (
        lambda Y: permutation_test(
            Y, np.column_stack([X, np.eye(14)[:, :2]]), [*DIFFERENCE, 0, 0], variance_groups=FIRST
        ),
        NumericsError,
        "no residual",
    ),
    "one permutation": (lambda Y: permutation_test(Y, X, DIFFERENCE, n_perm=1), UsageError, "2 or more"),
    "fewer than none": (lambda Y: permutation_test(Y, X, DIFFERENCE, n_perm=-5), UsageError, "n_perm -5"),
    "half a permutation": (lambda Y: permutation_test(Y, X, DIFFERENCE, n_perm=100.5), UsageError, "whole number"),
    "all of too many": (lambda Y: permutation_test(Y, X, DIFFERENCE, n_perm=0), UsageError, "87,178,291,200"),
    "no threads": (lambda Y: permutation_test(Y, X, DIFFERENCE, n_jobs=0), UsageError, "1 or more threads"),
    "half a thread": (lambda Y: permutation_test(Y, X, DIFFERENCE, n_jobs=0.5), UsageError, "n_jobs 0.5"),
    "permutations of others": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, permutations=drawn([[1, 2, 3], [3, 1, 2]])),
        UsageError,
        "permutations of 3 subjects",
    ),
    "signs that nobody asked for": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, permutations=drawn([np.arange(1, 15), -np.arange(1, 15)])),
        UsageError,
        "flip signs",
    ),
    "nothing to exchange": (
        lambda Y: permutation_test(Y, np.ones((14, 1)), [1]),
        NumericsError,
        "1 possible permutation",
    ),
    "z of correlations": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, pearson=True, statistic_scale="z"),
        UsageError,
        "on the z scale",
    ),
    "correlations with unequal variances": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, pearson=True, variance_groups=GROUP),
        UsageError,
        "where variances differ",
    ),
    "stopping and tails": (
        lambda Y: permutation_test(Y, X, DIFFERENCE, stop_after=5, tail="gpd"),
        UsageError,
        "exclude each other",
    ),
    "stopping in a list of all": (
        lambda Y: permutation_test(Y, X[:, :2], DIFFERENCE[:2], stop_after=5),
        UsageError,
        "all 3,432 that exist are taken",
    ),
}


@pytest.mark.filterwarnings("ignore:divide by zero")  # that is how infinity is made
@pytest.mark.parametrize("what", REFUSED)
def test_is_refused_in_one_line(Y, what):
    call, kind, part = REFUSED[what]
    with pytest.raises(kind, match=re.escape(part)) as caught:
        call(Y)
    assert isinstance(caught.value, ThalgpuError)
    assert "\n" not in str(caught.value)


def test_is_offered_at_the_top_with_what_its_callers_need():
    assert thalgpu.permutation_test is permutation_test
    assert (thalgpu.Contrast, thalgpu.Neighbours) == (Contrast, Neighbours)
    assert (thalgpu.volume_neighbours, thalgpu.mesh_neighbours) == (volume_neighbours, mesh_neighbours)


def test_every_option_is_a_parameter_with_its_own_default_and_is_documented():
    parameters = inspect.signature(permutation_test).parameters
    documented = re.findall(r"^    (\w[\w, ]*) : ", permutation_test.__doc__, flags=re.MULTILINE)
    for field in fields(InferenceOptions):
        assert parameters[field.name].default == field.default, field.name
    assert {name for names in documented for name in names.split(", ")} == set(parameters)


def test_minus_one_thread_is_one_a_core(Y, monkeypatch):
    monkeypatch.setattr(arguments, "usable_cores", lambda: 3)
    assert arguments.threads_of(-1) == 3
    by_all = permutation_test(Y, X, DIFFERENCE, n_perm=250, n_jobs=-1)
    np.testing.assert_array_equal(by_all.p, permutation_test(Y, X, DIFFERENCE, n_perm=250).p)


def test_all_pairwise_differences_are_tested_as_two_of_them(Y):
    three = np.repeat(np.eye(3), [5, 5, 4], axis=0)
    pairs = [[1, -1, 0], [0, 1, -1], [1, 0, -1]]
    found = permutation_test(Y, three, pairs, [[1, 1, 1], [1, 1, 0]], n_perm=50)
    np.testing.assert_allclose(found.f[0], found.f[1], rtol=1e-12)
    np.testing.assert_array_equal(found.p_fwe[3], found.p_fwe[4])


def test_every_attribute_that_the_record_documents_exists_and_every_other_way_round():
    section = PermutationTest.__doc__.split("Attributes\n")[1]
    heads = re.findall(r"^ {4}(\w[\w, ]*) : ", section, flags=re.MULTILINE)
    documented = {name for head in heads for name in head.split(", ")}
    assert documented == {field.name for field in fields(PermutationTest)}


def test_the_record_has_a_row_a_contrast(Y):
    found = permutation_test(
        Y, X, [DIFFERENCE, SLOPE], [[1, 1]], n_perm=50, adjacency=CHAIN, tfce=True, cluster_threshold=1.0
    )
    for field in fields(PermutationTest):
        value = getattr(found, field.name)
        if isinstance(value, np.ndarray):
            assert (value.shape, value.dtype) == ((3, N_FEATURES), np.float64), field.name
    assert set(found.null_max) == {"stat", "tfce", "cluster_extent", "cluster_mass"}
    assert {maxima.shape for maxima in found.null_max.values()} == {(3, 50)}
    assert found.n_perm == 50
    assert "random" in found.permutations
    assert [(contrast.label, contrast.kind) for contrast in found.contrasts] == [("c1", "t"), ("c2", "t"), ("c3", "f")]


def test_what_was_not_asked_for_is_none(Y):
    found = permutation_test(Y, X, DIFFERENCE, n_perm=20)
    empty = {field.name for field in fields(PermutationTest) if getattr(found, field.name) is None}
    assert empty == {
        *("p_fwe_joint", "tfce", "p_tfce", "p_fwe_tfce", "p_fdr_tfce", "p_fwe_joint_tfce"),
        *("cluster_extent", "p_fwe_cluster_extent", "p_fwe_joint_cluster_extent"),
        *("cluster_mass", "p_fwe_cluster_mass", "p_fwe_joint_cluster_mass"),
    }
    assert set(found.null_max) == {"stat"}


def test_t_is_that_of_a_textbook(Y):
    found = permutation_test(Y, X[:, :2], [1, -1], n_perm=20)
    np.testing.assert_allclose(found.t[0], stats.ttest_ind(Y[:7], Y[7:]).statistic, rtol=1e-12)


def test_f_is_that_of_a_textbook(Y):
    three = np.repeat(np.eye(3), [5, 5, 4], axis=0)
    found = permutation_test(Y, three, [1, -1, 0], [[[1, -1, 0], [0, 1, -1]]], n_perm=20)
    np.testing.assert_allclose(found.f[0], stats.f_oneway(Y[:5], Y[5:10], Y[10:]).statistic, rtol=1e-12)


def test_v_is_welchs_t(Y):
    found = permutation_test(Y, X[:, :2], [1, -1], variance_groups=GROUP, n_perm=20)
    np.testing.assert_allclose(found.t[0], stats.ttest_ind(Y[:7], Y[7:], equal_var=False).statistic, rtol=1e-12)


def test_pearson_is_the_correlation(Y):
    found = permutation_test(Y, np.column_stack([AGE, np.ones(14)]), [1, 0], pearson=True, n_perm=20)
    expected = [stats.pearsonr(AGE, y).statistic for y in Y.T]
    np.testing.assert_allclose(found.stat[0], expected, rtol=1e-12)
    np.testing.assert_allclose(found.null_max["stat"][0, 0], max(expected), rtol=1e-12)


def test_an_f_test_by_weights_beside_records(Y):
    record = Contrast("patients - controls", "patients", np.array([DIFFERENCE], dtype=float), "t")
    found = permutation_test(Y, X, [record], [[DIFFERENCE, SLOPE]], n_perm=20)
    by_arrays = permutation_test(Y, X, DIFFERENCE, np.array([[DIFFERENCE, SLOPE]]), n_perm=20)
    assert [contrast.kind for contrast in found.contrasts] == ["t", "f"]
    np.testing.assert_array_equal(found.stat, by_arrays.stat)
    np.testing.assert_array_equal(permutation_test(Y, X, record, n_perm=20).stat, found.t)


def test_an_f_test_names_contrasts_by_zeros_and_ones(Y):
    named = permutation_test(Y, X, [DIFFERENCE, [0, 1, 1], SLOPE], [[1, 0, 1]], n_perm=20)
    written = permutation_test(Y, X, DIFFERENCE, [[DIFFERENCE, SLOPE]], n_perm=20)
    np.testing.assert_array_equal(named.f, written.f)


@pytest.mark.parametrize("measure", ["stat", "tfce", "cluster_extent", "cluster_mass"])
def test_joint_p_is_of_the_largest_maximum_of_all_t_contrasts(Y, measure):
    found = permutation_test(
        Y, X, [DIFFERENCE, SLOPE], [[1, 1]], n_perm=80, adjacency=CHAIN, tfce=True, cluster_threshold=1.0
    )
    observed, maxima = getattr(found, measure), found.null_max[measure]
    suffix = "" if measure == "stat" else f"_{measure}"
    joint = getattr(found, f"p_fwe_joint{suffix}")
    for c, family in ((0, [0, 1]), (1, [0, 1]), (2, [2])):
        largest = maxima[family].max(axis=0)
        reached = largest[:, None] >= observed[c] - 1e-9 * np.abs(observed[c])
        np.testing.assert_allclose(joint[c], reached.mean(axis=0), rtol=1e-12)


def test_clusters_have_neighbours_of_their_own(Y):
    nobody = csr_array((N_FEATURES, N_FEATURES))
    spatial = {"n_perm": 20, "cluster_threshold": 0.5}
    apart = permutation_test(Y, X, DIFFERENCE, adjacency=CHAIN, cluster_adjacency=nobody, **spatial)
    assert apart.cluster_extent.max() == 1
    together = permutation_test(Y, X, DIFFERENCE, cluster_adjacency=CHAIN, **spatial)
    assert together.cluster_extent.max() > 1


def test_neighbours_may_be_ready_made(Y):
    spatial = {"n_perm": 20, "tfce": True}
    ready = permutation_test(Y, X, DIFFERENCE, adjacency=from_sparse(CHAIN), **spatial)
    np.testing.assert_array_equal(ready.tfce, permutation_test(Y, X, DIFFERENCE, adjacency=CHAIN, **spatial).tfce)


@pytest.mark.parametrize("kind", ["list", "float32", "integers", "Fortran order"])
def test_values_may_be_of_any_kind(Y, kind):
    whole = np.rint(100 * Y)
    made = {
        "list": whole.tolist(),
        "float32": whole.astype(np.float32),
        "integers": whole.astype(int),
        "Fortran order": np.asfortranarray(whole),
    }[kind]
    expected = permutation_test(whole, X, DIFFERENCE, n_perm=50)
    found = permutation_test(made, X, DIFFERENCE, n_perm=50)
    np.testing.assert_array_equal(found.stat, expected.stat)
    np.testing.assert_array_equal(found.null_max["stat"], expected.null_max["stat"])


def test_labels_of_blocks_may_be_words(Y):
    site = np.array(["Basel", "Bern"] * 7)
    words = permutation_test(Y, X, DIFFERENCE, blocks=site, n_perm=50)
    tree = np.column_stack([-np.ones(14, dtype=int), np.arange(14) % 2 + 1])
    np.testing.assert_array_equal(words.p, permutation_test(Y, X, DIFFERENCE, blocks=tree, n_perm=50).p)


def test_what_was_given_is_left_as_it_was(Y):
    before, design = Y.copy(), X.copy()
    permutation_test(Y, X, DIFFERENCE, n_perm=50, two_sided=True)
    np.testing.assert_array_equal(Y, before)
    np.testing.assert_array_equal(X, design)
