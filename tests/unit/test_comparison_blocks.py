"""Blocks of permutations of group gradients: what they leave behind, and what merging and finishing make of it."""

from dataclasses import replace
from functools import reduce
from itertools import permutations

import numpy as np
import pytest

from thalgpu.engine.comparison import blocks
from thalgpu.engine.comparison.blocks import merge_blocks, observe, run_block, solve_features
from thalgpu.engine.comparison.finish import finish
from thalgpu.engine.comparison.labels import residual_weights
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.statistics import SCALARS
from thalgpu.errors import NumericsError

IJK = np.indices((4, 4, 4)).reshape(3, -1).T
LABELS = tuple("abcabcabcab")
N_PERM, K = 60, 3
CUTS = ((0, 20), (20, 40), (40, 60))
PAIR, ALL = 0, 3


@pytest.fixture(scope="module")
def stack(affinities):
    return affinities(IJK, len(LABELS))


@pytest.fixture(scope="module", params=["direct", "exact", "reduced"])
def study(request, stack, study_of):
    rank = 0 if request.param == "direct" else 20
    return study_of(stack, LABELS, IJK, rank=rank, n_perm=N_PERM, tfce=True, path=request.param)


@pytest.fixture(scope="module", params=[PAIR, ALL], ids=["pair", "all"])
def number(request):
    return request.param


@pytest.fixture(scope="module")
def observed(study, number):
    return observe(study, number)


@pytest.fixture(scope="module")
def done(study, number, observed):
    return [run_block(study, number, observed, *cut) for cut in CUTS]


def same(one, other):
    for measure in one.null.maxima:
        np.testing.assert_array_equal(one.null.maxima[measure], other.null.maxima[measure])
        np.testing.assert_array_equal(one.null.counts[measure], other.null.counts[measure])
    assert one.null.stretches == other.null.stretches
    assert one.n_exact == other.n_exact
    np.testing.assert_array_equal(one.worst, other.worst)
    np.testing.assert_array_equal(one.n_close, other.n_close)


def test_blocks_merge_in_any_order_to_the_same_bits(done):
    whole = reduce(merge_blocks, done)
    for order in permutations(done):
        same(reduce(merge_blocks, order), whole)
    same(merge_blocks(done[0], merge_blocks(done[1], done[2])), whole)


def test_a_block_run_again_gives_the_same_bits(study, number, observed, done):
    same(run_block(study, number, observed, *CUTS[1]), done[1])


def test_other_cuts_agree_to_rounding(study, number, observed, done):
    """Products round by the shape of a batch, which is why the bounds of blocks are fixed."""
    other = reduce(merge_blocks, [run_block(study, number, observed, *cut) for cut in ((0, 30), (30, 60))])
    for measure, maxima in reduce(merge_blocks, done).null.maxima.items():
        np.testing.assert_allclose(other.null.maxima[measure], maxima, rtol=1e-3 if study.path == "reduced" else 1e-4)


def test_without_a_basis_any_cut_gives_the_same_bits(stack, study_of, number):
    study = study_of(stack, LABELS, IJK, n_perm=N_PERM, tfce=True)
    observed = observe(study, number)
    whole = run_block(study, number, observed, 0, N_PERM)
    pieces = [run_block(study, number, observed, *cut) for cut in ((0, 7), (7, 8), (8, N_PERM))]
    for measure in whole.null.maxima:
        np.testing.assert_allclose(
            reduce(merge_blocks, pieces).null.maxima[measure], whole.null.maxima[measure], rtol=1e-9
        )


def test_the_groups_as_they_are_always_count(study, number, observed, done):
    for measure, counts in done[0].null.counts.items():
        assert (counts >= 1).all()
        maxima = done[0].null.maxima[measure][0, :, 0]
        for part, maximum in zip(study.parts, maxima, strict=False):
            values = study.standardised(number, part, np.abs(observed[measure][part.start : part.stop]))
            assert values.max() == maximum


def test_p_values_are_shares_of_the_permutations(study, number, observed, done):
    features = np.abs(solve_features(study, number, range(*CUTS[0])).features)
    rest = [np.abs(solve_features(study, number, range(*cut)).features) for cut in CUTS[1:]]
    features = np.concatenate([features, *rest])
    features[study.comparisons[number].unchanged(range(N_PERM))] = np.abs(observed["stat"])
    tie = 1 - 1e-6
    for part in finish(study, number, observed, reduce(merge_blocks, done)):
        own = features[:, part.part.start : part.part.stop]
        np.testing.assert_array_equal(part.maps["p"], (own >= own[0] * tie).mean(axis=0))
        largest = study.standardised(number, part.part, own).max(axis=1)[:, None]
        reached = study.standardised(number, part.part, own[0] * tie)
        np.testing.assert_array_equal(part.maps["p_fwe"], (largest >= reached).mean(axis=0))
        assert (part.maps["p_fwe"] >= part.maps["p"]).all()
        assert (part.maps["p_fdr"] >= part.maps["p"]).all()
        assert part.null["stat"].shape == (N_PERM,)
        if part.part.name not in SCALARS:
            assert (part.maps["p_fwe_joint"] >= part.maps["p_fwe"] - 1e-12).all()
            assert (part.maps["p_fwe_joint_tfce"] >= part.maps["p_fwe_tfce"] - 1e-12).all()
        else:
            assert "p_tfce" not in part.maps


def test_numbers_are_maximised_in_sds_from_their_null_mean(study, number):
    for part in study.parts:
        first = study.template.size
        values = np.linspace(1, 2, part.stop - part.start)
        found = study.standardised(number, part, values)
        if part.name in SCALARS:
            own = slice(part.start - first, part.stop - first)
            np.testing.assert_allclose(
                found * study.number_spreads[number][own] + study.number_centres[number][own], values
            )
        else:
            np.testing.assert_array_equal(found, values)


def test_results_need_every_permutation(study, number, observed, done):
    with pytest.raises(ValueError, match="are not all there are"):
        finish(study, number, observed, merge_blocks(done[0], done[2]))


def test_groups_that_only_exchange_names_count_as_observed_on_every_path(stack, study_of):
    labels = tuple("ababab")
    for path in ("direct", "exact", "reduced"):
        study = study_of(stack[:6], labels, IJK, rank=0 if path == "direct" else 20, tfce=True, path=path, eig_tol=1.0)
        observed = observe(study, 0)
        result = run_block(study, 0, observed, 0, 20)
        assert all((counts >= 2).all() for counts in result.null.counts.values()), path
        assert all(
            ((maxima[0] == maxima[0, :, :1]).sum(axis=1) == 2).all() for maxima in result.null.maxima.values()
        ), path


def test_the_reduced_path_turns_to_the_exact_one_above_the_tolerance(stack, study_of):
    study = study_of(stack, LABELS, IJK, rank=12, n_perm=40, path="reduced")
    reduced = solve_features(replace(study, eig_tol=np.inf), PAIR, range(40))
    relative = study.eig_tol * (reduced.errors / study.allowed(PAIR)).max(axis=1)
    middle = float(np.median(relative))
    mixed = solve_features(replace(study, eig_tol=middle), PAIR, range(40))
    exact = solve_features(replace(study, path="exact"), PAIR, range(40))
    above = relative > middle
    assert (reduced.n_exact, mixed.n_exact) == (0, above.sum())
    np.testing.assert_array_equal(mixed.features[~above], reduced.features[~above])
    np.testing.assert_allclose(mixed.features[above], exact.features[above], atol=1e-5)
    assert ((mixed.errors / study.spreads[PAIR]).max(axis=1) <= middle).all()


def test_covariates_act_as_affinities_regressed_on_them(stack, study_of, rng):
    covariates = rng.normal(size=(len(LABELS), 2))
    centred = covariates - covariates.mean(axis=0)
    wide = stack.astype(np.float64)
    residuals = (wide - centred @ np.linalg.lstsq(centred, wide, rcond=None)[0]).astype(np.float32)
    study = study_of(stack, LABELS, IJK, n_perm=20, covariates=covariates)
    regressed = replace(study, stack=residuals, covariates=None)
    one, other = (solve_features(each, PAIR, range(20)).features for each in (study, regressed))
    np.testing.assert_allclose(one, other, atol=1e-5)  # the residuals are rounded to float32 once more


@pytest.mark.parametrize("rank", [0, 20])
def test_covariates_that_leave_a_voxel_without_weight_are_refused(stack, study_of, rank):
    labels, age = tuple("aaaaaabbbbb"), np.arange(11.0)
    growth = np.where(np.arange(11) < 6, age + 0.1, 0.1).astype(np.float32)[:, None]  # in one group alone
    study = study_of(stack * growth, labels, IJK, rank=rank, n_perm=20, covariates=np.exp(-age)[:, None])
    weights = residual_weights(study.comparisons[0].weights(range(1), 11), study.covariates)
    assert ((weights @ study.stack.astype(np.float64)) < 0).any()
    with pytest.raises(NumericsError):
        solve_features(study, 0, range(1))


def test_close_eigenvalues_are_counted(stack, study_of, monkeypatch):
    study = study_of(stack, LABELS, IJK, n_perm=20)
    lambdas = np.stack([blocks._solve(study, row, "direct").lambdas for row in study.comparisons[ALL].weights(
        range(20), len(LABELS))])  # fmt: skip
    gaps = -np.diff(lambdas, axis=2) / lambdas[:, :, :-1]
    limit = float(np.median(gaps))
    monkeypatch.setattr(blocks, "CLOSE", limit)
    close = gaps < limit
    expected = [close[:, :, 0], close[:, :, 0] | close[:, :, 1], close[:, :, 1]]
    found = solve_features(study, ALL, range(20)).n_close
    np.testing.assert_array_equal(found, [one.sum() for one in expected])


def test_an_epsilon_graph_is_embedded_like_a_subjects(stack, study_of):
    study = study_of(stack, LABELS, IJK, recipe=Recipe(graph="epsilon", n_components=K), n_perm=10)
    result = run_block(study, PAIR, observe(study, PAIR), 0, 10)
    assert all(np.isfinite(maxima).all() for maxima in result.null.maxima.values())


def test_units_of_the_affinities_change_no_p(stack, study_of):
    """Eigenvectors of a Laplacian eigenmap shrink with its degrees, and enhanced maps with their cube."""
    results = []
    for scale in (1.0, 1e8):
        study = study_of(stack * np.float32(scale), LABELS, IJK, recipe=Recipe("le", n_components=K), tfce=True)
        observed = observe(study, PAIR)
        results.append(finish(study, PAIR, observed, run_block(study, PAIR, observed, 0, 70)))
    for one, other in zip(*results, strict=True):
        for name in one.maps:
            if name.startswith("p_fwe"):
                np.testing.assert_allclose(one.maps[name], other.maps[name], atol=1.5 / 70)  # one tie of float32


def test_exact_solutions_of_many_voxels_are_as_exact_as_their_statistics_need(affinities, study_of, monkeypatch):
    ijk = np.indices((6, 6, 5)).reshape(3, -1).T
    stack = affinities(ijk, len(LABELS), rough=0.5)
    study = study_of(stack, LABELS, ijk, rank=60, n_perm=N_PERM)
    fine = {number: solve_features(study, number, range(20)) for number in (PAIR, ALL)}
    maps = fine[PAIR].features[:, : K * len(ijk)].reshape(20, K, -1)
    spreads = np.sqrt((maps**2).mean(axis=(0, 2)))
    study = replace(study, spreads=(spreads,) * 4)  # of the pairs; all groups together vary less
    monkeypatch.setattr(blocks, "SMALL", 0)
    for number in (PAIR, ALL):
        batch = solve_features(study, number, range(20))
        errors = (batch.features - fine[number].features)[:, : K * len(ijk)].reshape(20, K, -1)
        true = np.sqrt((errors**2).mean(axis=2))
        assert true.max() > 0
        allowed = blocks.EXACT * study.allowed(number)
        assert (batch.errors <= 1.5 * allowed).all()  # groups' maps are larger than the template
        assert (true <= allowed).all()
