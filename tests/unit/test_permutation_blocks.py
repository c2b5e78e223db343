"""A permutation test in blocks: whatever the blocks, the same bits; and p-values that brute force gives as well."""

from dataclasses import replace
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import diags_array

from thalgpu.engine.inference import blocks, permutation_test, stretches
from thalgpu.engine.inference.adjacency import from_sparse
from thalgpu.engine.inference.blocks import Problem, block_values, prepare_test, run_block
from thalgpu.engine.inference.corrections import joint_maxima
from thalgpu.engine.inference.finish import finish
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Part
from thalgpu.engine.inference.null_maxima import NEVER, merge
from thalgpu.engine.inference.permutation_set import plan_permutations
from thalgpu.engine.inference.permutation_test import run_all
from thalgpu.engine.inference.stretches import Settling, merge_all
from thalgpu.engine.inference.tails import TAIL_BELOW, gamma_p, gpd_p
from thalgpu.errors import UsageError

N_SUBJECTS = 21
GROUP = np.repeat(np.arange(3), 7)
A_B = Contrast("a - b", "ab", np.array([[1.0, -1, 0, 0]]), "t")
B_C = Contrast("b - c", "bc", np.array([[0.0, 1, -1, 0]]), "t")
ANY = Contrast("any group", "any", np.array([[1.0, -1, 0, 0], [0, 1, -1, 0]]), "f")
METHODS = ("freedman-lane", "ter-braak", "manly", "dekker")


def chain(n):
    """Each feature touches the two beside it."""
    return from_sparse(diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1], shape=(n, n)))


def problem(rng, sizes=(12,), contrasts=(A_B, B_C, ANY), variance_groups=None, effect=1.5, **options):
    """Three groups and a nuisance variable; parts of some features each, the first of which have effects."""
    covariate = rng.normal(size=N_SUBJECTS) + GROUP
    matrix = np.column_stack([GROUP[:, None] == np.arange(3), covariate]).astype(float)
    values = rng.normal(size=(N_SUBJECTS, sum(sizes))) + covariate[:, None]
    values[:, :3] += effect * (GROUP == 0)[:, None]
    design = Design(matrix, tuple("abcd"), tuple(contrasts), variance_groups=variance_groups)
    chosen = InferenceOptions(**{"n_perm": 130, **options})
    stops = np.cumsum(sizes).tolist()
    parts = tuple(Part(f"part {i}", stop - size, stop) for i, (size, stop) in enumerate(zip(sizes, stops, strict=True)))
    graphs = tuple(chain(size) for size in sizes)
    return Problem(values, design, plan_permutations(design, chosen), chosen, parts, graphs, graphs)


SPATIAL = {"tfce": True, "cluster_threshold": 1.0}


def same(one, other):
    """Every bit of two nulls."""
    return one.stretches == other.stretches and all(
        mine.keys() == theirs.keys() and all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)
        for mine, theirs in (
            (one.maxima, other.maxima),
            (one.counts, other.counts),
            (one.first_hits, other.first_hits),
        )
    )


def in_pieces(test, cuts):
    return reduce(merge, [run_block(test, a, b) for a, b in pairwise(cuts)])


CUTS = {
    "hundreds": (0, 100, 200, 230),
    "one and the rest": (0, 1, 230),
    "small ones": (0, 7, 13, 14, 99, 101, 150, 229, 230),
    "thirteens": (*range(0, 230, 13), 230),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cuts", CUTS)
def test_bounds_of_blocks_leave_no_trace(rng, method, cuts):
    test = prepare_test(problem(rng, method=method, n_perm=230, stop_after=4, **SPATIAL))
    assert same(in_pieces(test, CUTS[cuts]), run_block(test, 0, 230))


def test_bounds_of_blocks_leave_no_trace_where_variances_differ(rng):
    test = prepare_test(problem(rng, variance_groups=GROUP, n_perm=230, statistic_scale="z", **SPATIAL))
    assert same(in_pieces(test, CUTS["small ones"]), run_block(test, 0, 230))


def test_bounds_of_blocks_leave_no_trace_in_small_batches(rng, monkeypatch):
    monkeypatch.setattr(blocks, "_BATCH_BYTES", 9 * 8 * 12 * 9)
    test = prepare_test(problem(rng, n_perm=230))
    assert blocks._batch_size(test.problem, test.models[0]) in (5, 10)
    assert same(in_pieces(test, CUTS["small ones"]), run_block(test, 0, 230))


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_threads_leave_no_trace(rng, n_jobs):
    test = prepare_test(problem(rng, n_perm=450, **SPATIAL))
    assert same(run_all(test, n_jobs), run_all(test))


def test_threads_leave_no_trace_where_variances_differ(rng):
    test = prepare_test(problem(rng, variance_groups=GROUP, n_perm=450, statistic_scale="z", tfce=True))
    assert same(run_all(test, 3), run_all(test))


def test_blocks_that_overlap_are_not_merged(rng):
    test = prepare_test(problem(rng))
    with pytest.raises(ValueError, match="overlap"):
        merge(run_block(test, 0, 50), run_block(test, 49, 60))


def test_a_gap_is_not_finished(rng):
    test = prepare_test(problem(rng))
    with pytest.raises(ValueError, match="not all from the first on"):
        finish(test, merge(run_block(test, 0, 50), run_block(test, 60, 70)))


def test_stretches_cover_every_number_once():
    for n_perm in (2, 99, 100, 101, 12_345, 100_000, 100_001, 1_000_000):
        cuts = stretches.stretches(n_perm)
        assert [a for a, _ in cuts] == [0, *(b for _, b in cuts[:-1])]
        assert cuts[-1][1] == n_perm
        assert len(cuts) <= 1000
        assert all((b - a) % 100 == 0 for a, b in cuts[:-1])  # so that no batch belongs to two of them


def every_value(test, measure, contrast, n_perm):
    everything = np.arange(test.problem.values.shape[1])
    return block_values(test, measure, contrast, everything, 0, n_perm)


def reached(values, observed):
    """(n_perm, …) whether each is no less than what was observed, but for rounding."""
    return values >= observed - 1e-9 * np.abs(observed)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_counts_and_maxima_are_those_of_all_values_at_once(rng, method, two_sided):
    given = problem(rng, sizes=(7, 5), method=method, two_sided=two_sided, **SPATIAL)
    test = prepare_test(given)
    null = run_all(test)
    for measure, maxima in null.maxima.items():
        for c in range(3):
            values = every_value(test, measure, c, 130)
            for p, part in enumerate(given.parts):
                np.testing.assert_array_equal(maxima[c, p], values[:, part.start : part.stop].max(axis=1))
            if measure in null.counts:
                np.testing.assert_array_equal(null.counts[measure][c], reached(values, values[0]).sum(axis=0))


def test_two_sided_values_are_magnitudes_of_t_and_f_is_as_ever(rng):
    both = prepare_test(problem(np.random.default_rng(1), two_sided=True))
    one = prepare_test(problem(np.random.default_rng(1)))
    for c in range(3):
        np.testing.assert_array_equal(both.observed[c]["stat"], one.observed[c]["stat"])
        assert (both.observed[0]["stat"] < 0).any()
        np.testing.assert_array_equal(every_value(both, "stat", c, 130), np.abs(every_value(one, "stat", c, 130)))


def test_f_has_no_second_side_on_the_z_scale_either(rng):
    """There it is negative where p is above a half."""
    given = {"contrasts": (ANY,), "statistic_scale": "z", "effect": 0.0, **SPATIAL}
    both, one = (prepare_test(problem(np.random.default_rng(1), two_sided=two, **given)) for two in (True, False))
    assert (one.observed[0]["stat"] < -0.3).any()
    assert same(run_all(both), run_all(one))


def test_two_sided_enhanced_maps_keep_their_signs_and_are_compared_without(rng):
    test = prepare_test(problem(rng, two_sided=True, **SPATIAL))
    result = finish(test, run_all(test))[0]
    np.testing.assert_array_equal(np.sign(result.maps["tfce"]), np.sign(result.maps["stat"]))
    values = every_value(test, "tfce", 0, 130)
    assert (values >= 0).all()
    np.testing.assert_allclose(result.maps["p_tfce"], reached(values, values[0]).mean(axis=0))


@pytest.fixture
def two_parts(rng):
    given = problem(rng, sizes=(8, 5), **SPATIAL)
    test = prepare_test(given)
    null = run_all(test)
    return given, null, finish(test, null)


def brute_force_p(magnitudes, maxima):
    return np.array([reached(maxima, one).mean() for one in magnitudes])


def test_each_part_is_corrected_by_its_own_maxima(two_parts):
    given, null, results = two_parts
    for c, result in enumerate(results):
        for measure, name in (("stat", "p_fwe"), ("tfce", "p_fwe_tfce"), ("cluster_mass", "p_fwe_cluster_mass")):
            for p, part in enumerate(given.parts):
                here = slice(part.start, part.stop)
                expected = brute_force_p(result.maps[measure][here], null.maxima[measure][c, p])
                np.testing.assert_array_equal(result.maps[name][here], expected)


def test_joint_p_is_corrected_over_all_parts_and_contrasts_of_one_kind(two_parts):
    _, null, results = two_parts
    for c, family in ((0, [0, 1]), (1, [0, 1]), (2, [2])):
        for measure in ("stat", "tfce", "cluster_extent"):
            largest = null.maxima[measure][family].max(axis=(0, 1))
            suffix = "" if measure == "stat" else f"_{measure}"
            expected = brute_force_p(results[c].maps[measure], largest)
            np.testing.assert_array_equal(results[c].maps[f"p_fwe_joint{suffix}"], expected)
            assert (results[c].maps[f"p_fwe_joint{suffix}"] >= results[c].maps[f"p_fwe{suffix}"]).all()


def test_on_the_z_scale_t_and_f_are_one_family(rng):
    test = prepare_test(problem(rng, statistic_scale="z"))
    null = run_all(test)
    for c, result in enumerate(finish(test, null)):
        expected = brute_force_p(test.observed[c]["stat"], joint_maxima(list(null.maxima["stat"][:, 0])))
        np.testing.assert_array_equal(result.maps["p_fwe_joint"], expected)


def test_on_the_z_scale_two_sided_t_and_f_are_families_of_their_own(rng):
    test = prepare_test(problem(rng, statistic_scale="z", two_sided=True))
    null = run_all(test)
    results = finish(test, null)
    for family in ([0, 1], [2]):
        largest = joint_maxima(list(null.maxima["stat"][family, 0]))
        for c in family:
            expected = brute_force_p(test.magnitudes(c, "stat"), largest)
            np.testing.assert_array_equal(results[c].maps["p_fwe_joint"], expected)


@pytest.mark.parametrize("grid", ["exact", "palm", "randomise", "nilearn"])
def test_parts_are_tested_as_they_would_be_alone(rng, grid):
    given = problem(rng, sizes=(8, 5), tfce_grid=grid, **SPATIAL)
    test = prepare_test(given)
    together, null = finish(test, run_all(test)), run_all(test)
    for p, part in enumerate(given.parts):
        size, here = part.stop - part.start, slice(part.start, part.stop)
        alone = prepare_test(
            Problem(
                np.ascontiguousarray(given.values[:, here]),
                given.design,
                given.permutations,
                given.options,
                (Part("alone", 0, size),),
                given.neighbours[p : p + 1],
                given.cluster_neighbours[p : p + 1],
            )
        )
        alone_null = run_all(alone)
        for c, result in enumerate(finish(alone, alone_null)):
            for name in ("stat", "tfce", "cluster_mass", "p", "p_tfce", "p_fwe", "p_fwe_tfce", "p_fwe_cluster_extent"):
                # a matrix product of fewer columns rounds differently
                np.testing.assert_allclose(together[c].maps[name][here], result.maps[name], rtol=1e-11, atol=1e-12)
            np.testing.assert_allclose(null.maxima["tfce"][c, p], alone_null.maxima["tfce"][c, 0], rtol=1e-11)


@pytest.mark.parametrize(("tail", "fitted"), [("gpd", lambda o, n: gpd_p(o, n)[0]), ("gamma", gamma_p)])
def test_tails_are_fitted_to_each_features_values_and_to_the_maxima(rng, tail, fitted):
    test = prepare_test(problem(rng, contrasts=(A_B, ANY), n_perm=300, tail=tail, tfce=True))
    null = run_all(test)

    def collect(measure, contrast, features):
        return every_value(test, measure, contrast, 300)[:, features]

    counted = finish(test, null)
    for c, result in enumerate(finish(test, null, collect)):
        for measure, suffix in (("stat", ""), ("tfce", "_tfce")):
            p, values = counted[c].maps[f"p{suffix}"], every_value(test, measure, c, 300)
            small = p < TAIL_BELOW
            assert small.any()
            np.testing.assert_array_equal(result.maps[f"p{suffix}"][~small], p[~small])
            np.testing.assert_allclose(result.maps[f"p{suffix}"][small], fitted(values[0], values)[small], rtol=1e-12)
            np.testing.assert_allclose(
                result.maps[f"p_fwe{suffix}"], fitted(values[0], null.maxima[measure][c, 0]), rtol=1e-12
            )


def test_the_call_on_arrays_collects_for_its_tails(rng):
    given = problem(rng, contrasts=(A_B,), n_perm=300, tail="gpd")
    test = prepare_test(given)
    values = every_value(test, "stat", 0, 300)
    options = {"n_perm": 300, "tail": "gpd"}
    found = permutation_test.permutation_test(given.values, given.design.matrix, [A_B], **options)
    small = reached(values, values[0]).mean(axis=0) < TAIL_BELOW
    np.testing.assert_allclose(found.p[0][small], gpd_p(values[0], values)[0][small], rtol=1e-12)


def stopping(rng, **options):
    return prepare_test(problem(rng, n_perm=1000, stop_after=6, contrasts=(A_B, ANY), **options))


@pytest.mark.parametrize("order", ["as numbered", "backwards", "shuffled"])
def test_stopping_does_not_depend_on_the_blocks_that_were_run_beyond(rng, order):
    test = stopping(rng, tfce=True)
    cuts = stretches.stretches(1000)
    expected = run_all(test)
    n_perm = expected.stretches[0][1]
    assert 100 < n_perm < 1000  # it does stop, and not at once
    assert all((hits[:, -1] < n_perm).all() for hits in expected.first_hits.values())
    assert any((hits[:, -1] >= n_perm - 100).any() for hits in expected.first_hits.values())  # but as soon as it may
    nulls = {cut: run_block(test, *cut) for cut in cuts}
    orders = {"as numbered": cuts, "backwards": cuts[::-1], "shuffled": [cuts[i] for i in rng.permutation(len(cuts))]}
    settling = Settling()
    for cut in orders[order]:
        settling.take(nulls[cut])
    assert settling.is_settled
    assert same(settling.null, expected)
    assert same(run_all(test, n_jobs=3), expected)


def test_a_feature_that_is_hardly_ever_reached_keeps_the_test_going(rng):
    null = run_all(stopping(rng, effect=4.0))
    assert null.stretches == ((0, 1000),)
    assert (null.first_hits["stat"][0, -1] == NEVER).any()


@pytest.mark.parametrize("two_sided", [False, True])
def test_stopped_p_is_hits_over_draws(rng, two_sided):
    test = stopping(rng, effect=4.0, two_sided=two_sided)
    null = run_all(test)
    for c, result in enumerate(finish(test, null)):
        hits = reached(values := every_value(test, "stat", c, 1000), values[0])[1:]
        for v in range(values.shape[1]):
            draws = np.flatnonzero(hits[:, v]) + 1
            expected = 6 / draws[5] if len(draws) >= 6 else (len(draws) + 1) / 1000
            np.testing.assert_allclose(result.maps["p"][v], expected, rtol=1e-12)
        draws = [np.flatnonzero(reached(null.maxima["stat"][c, 0, 1:], one)) + 1 for one in values[0]]
        expected = [6 / d[5] if len(d) >= 6 else (len(d) + 1) / 1000 for d in draws]
        np.testing.assert_allclose(result.maps["p_fwe"], expected, rtol=1e-12)


def test_stopping_early_is_refused_in_a_list_of_all_permutations(rng):
    """It is in order: those at its beginning differ from the identity by few exchanges."""
    given = problem(rng)
    few = Design(np.repeat(np.eye(2), [3, 18], axis=0), ("a", "b"), (replace(A_B, weights=np.array([[1.0, -1]])),))
    listed = plan_permutations(few, InferenceOptions())
    assert (listed.source, listed.n_perm) == ("exhaustive", 1330)
    with pytest.raises(UsageError, match="all 1,330 that exist are taken"):
        replace(given, design=few, permutations=listed, options=InferenceOptions(stop_after=5))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 100])
def test_pieces_are_merged_in_order_and_copied_log_n_times(n):
    copied = []

    def joined(one, other):
        copied.append(len(one) + len(other))
        return one + other

    assert merge_all(([k] for k in range(n)), joined) == list(range(n))
    assert sum(copied) <= n * np.ceil(np.log2(n))


def test_blocks_merged_in_pairs_have_the_bits_of_blocks_merged_one_by_one(rng):
    test = prepare_test(problem(rng, n_perm=60))
    blocks = [run_block(test, start, start + 10) for start in range(0, 60, 10)]
    one, other = merge_all(blocks, merge), reduce(merge, blocks)
    assert one.stretches == other.stretches == ((0, 60),)
    assert {name: array.tobytes() for name, array in one.maxima.items()} == {
        name: array.tobytes() for name, array in other.maxima.items()
    }
    assert {name: array.tobytes() for name, array in one.counts.items()} == {
        name: array.tobytes() for name, array in other.counts.items()
    }
