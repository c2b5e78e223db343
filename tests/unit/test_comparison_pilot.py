"""Which path a comparison takes, and how far its answers are from exact ones, on smooth and on rough affinities."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from thalgpu.engine.comparison import blocks, pilot, verification
from thalgpu.engine.comparison.blocks import solve_features
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.pilot import choose_path
from thalgpu.engine.comparison.pooled import pool
from thalgpu.engine.comparison.spreads import N_PILOT
from thalgpu.engine.comparison.statistics import _between
from thalgpu.engine.comparison.verification import N_VERIFIED, verify
from thalgpu.errors import NumericsError, UsageError

IJK = np.indices((6, 6, 5)).reshape(3, -1).T
N, K, RANK = len(IJK), 4, 40
LABELS = tuple("abc" * 6)
PAIR, ALL = 0, 3
ROUGH = (0.1, 1.0, 3.0)


@pytest.fixture(scope="module")
def studies(affinities, study_of):
    """The reduced path with a small basis, on ever rougher affinities."""
    made = []
    for rough in ROUGH:
        stack = affinities(IJK, len(LABELS), rough=rough, seed=3)
        recipe = Recipe(n_components=K)
        study = study_of(stack, LABELS, IJK, recipe=recipe, n_perm=61, spreads=(), number_spreads=(), number_centres=())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pilot, "RANKS", (RANK,))
            study, _ = choose_path(study, partial(pool, stack, recipe), "reduced")
        made.append(study)
    return made


def maps(study, features):
    """(n_perm, n_components, n_voxels)."""
    return features[:, : N * K].reshape(len(features), K, N)


def errors_in_sd(study, number, found, exact):
    rms = np.sqrt((maps(study, found - exact) ** 2).mean(axis=2))
    return rms / study.spreads[number]


@pytest.fixture(scope="module", params=[PAIR, ALL], ids=["pair", "all"])
def answers(request, studies):
    """For each roughness: the study, what the reduced path says, what is kept of it, and the exact answer."""
    number, chosen = request.param, range(1, 41)
    found = []
    for study in studies:
        reduced = solve_features(replace(study, eig_tol=np.inf), number, chosen)
        kept, exact = (solve_features(study, number, chosen, exact=way) for way in (False, True))
        found.append((study, number, reduced, kept, exact))
    return found


def test_what_is_kept_of_the_reduced_path_is_within_the_tolerance_of_the_exact_one(answers):
    for study, number, _, kept, exact in answers:
        assert (errors_in_sd(study, number, kept.features, exact.features) <= study.eig_tol).all()


def test_more_permutations_fall_back_on_the_exact_path_as_affinities_get_rougher(answers):
    relative = [
        study.eig_tol * (reduced.errors / study.allowed(number)).max(axis=1) for study, number, reduced, _, _ in answers
    ]
    for (study, _, _, kept, _), errors in zip(answers, relative, strict=True):
        assert kept.n_exact == (errors > study.eig_tol).sum()
    limit = np.median(relative)
    counts = [(errors > limit).sum() for errors in relative]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_the_estimate_is_above_the_error_of_nearly_every_map(answers):
    for study, number, reduced, _, exact in answers:
        true = errors_in_sd(study, number, reduced.features, exact.features)
        estimated = reduced.errors / study.spreads[number]
        assert (true <= estimated).mean() > 0.97
        small = estimated < 10 * study.eig_tol  # far above it, components change places, and nothing is linear
        assert (true[small] <= 2 * estimated[small]).all()


def test_errors_of_groups_reach_a_difference_and_a_spread_as_estimated(answers):
    """The estimate takes what it is given of the groups on to the statistic: here their true errors, not estimates."""
    for study, number, _, _, _ in answers:
        comparison = study.comparisons[number]
        rows = comparison.weights(range(1, 41), len(study.stack)).reshape(-1, len(study.stack))
        found, exact = (
            blocks._groups(study, blocks._solve(study, rows, path), len(comparison.groups)).aligned
            for path in ("reduced", "exact")
        )
        own = np.sqrt(((found - exact) ** 2).mean(axis=2))  # (n_perm, n_groups, n_components)
        if number == PAIR:
            expected, true = own.sum(axis=1), np.subtract(*np.moveaxis(found - exact, 1, 0))
        else:
            expected = np.sqrt(np.einsum("pgk,g->pk", own**2, comparison.shares) / (len(comparison.groups) - 1))
            true = _between(found, comparison.shares) - _between(exact, comparison.shares)
        ratio = np.sqrt((true**2).mean(axis=1)) / expected
        assert ratio.max() < 1.2
        assert 0.6 < np.median(ratio) <= 1.05


def test_errors_of_two_groups_that_are_everybody_add_up(affinities, study_of):
    """What one group gains the other loses, and so do the errors of both: a root of squares would be too small."""
    study = study_of(affinities(IJK, 18, rough=0.1, seed=3), tuple("ab" * 9), IJK, rank=RANK, n_perm=21)
    rows = study.comparisons[0].weights(range(1, 21), 18).reshape(-1, 18)
    found, exact = (blocks._groups(study, blocks._solve(study, rows, path), 2).aligned for path in ("reduced", "exact"))
    one, other = np.moveaxis(found - exact, 1, 0)
    rms = [np.sqrt((errors**2).mean(axis=1)) for errors in (one, other, one - other)]
    shares = rms[2] / (rms[0] + rms[1])
    assert np.median(shares) > 0.9
    assert shares.min() > 0.75  # above what a root of squares would give, 0.71


def test_a_range_that_hardly_varies_needs_more_exact_permutations(studies):
    study = replace(studies[1], eig_tol=0.1)
    before = solve_features(study, PAIR, range(1, 41)).n_exact
    numbers = study.number_spreads[PAIR].copy()
    numbers[2 * K : 3 * K] /= 10
    narrow = replace(study, number_spreads=(numbers, *study.number_spreads[1:]))
    assert solve_features(narrow, PAIR, range(1, 41)).n_exact > before


def test_numbers_are_as_exact_as_maps(answers):
    """Eigenvalues err by the square of what vectors do, and ranges by what maps do."""
    for study, number, _, kept, exact in answers:
        error = np.abs(kept.features - exact.features)[:, N * K :] / study.number_spreads[number]
        eigenvalue, explained, spread, subspace = error.reshape(len(error), 4, K).transpose(1, 0, 2)
        assert eigenvalue.max() < study.eig_tol
        assert explained.max() < study.eig_tol
        assert np.sqrt((spread**2).mean(axis=0)).max() < study.eig_tol
        assert np.sqrt((subspace**2).mean()) < study.eig_tol


def test_the_sample_that_is_verified_says_the_true_error(studies, monkeypatch):
    study = replace(studies[1], eig_tol=1.0)
    worst = verify(study, PAIR, seed=5)
    n_perm = study.comparisons[PAIR].permutations.n_perm
    every = [solve_features(study, PAIR, range(n_perm), exact=way).features for way in (False, True)]
    errors = errors_in_sd(study, PAIR, *every)
    numbers = np.abs(every[0] - every[1])[:, N * K :] / study.number_spreads[PAIR]
    assert (worst.maps > 0).all()
    assert (worst.maps <= 1.01 * errors.max(axis=0)).all()  # other batches, other rounding
    assert (worst.maps >= np.median(errors, axis=0)).all()
    assert (worst.largest <= 1.01 * numbers.max(axis=0).reshape(4, K) + 1e-5).all()
    assert (worst.numbers <= worst.largest).all()
    monkeypatch.setattr(verification, "N_VERIFIED", n_perm)
    whole = verify(study, PAIR, seed=5)
    np.testing.assert_allclose(whole.maps, errors.max(axis=0), rtol=0.01)
    np.testing.assert_allclose(whole.largest.ravel(), numbers.max(axis=0), rtol=0.01, atol=1e-5)
    np.testing.assert_allclose(whole.numbers.ravel(), np.sqrt((numbers**2).mean(axis=0)), rtol=0.01, atol=1e-5)


def test_the_sample_follows_from_the_seed(studies):
    study = replace(studies[1], eig_tol=1.0)
    assert study.comparisons[PAIR].permutations.n_perm > N_VERIFIED
    one, again, other = (verify(study, PAIR, seed=seed) for seed in (5, 5, 6))
    for name in ("maps", "numbers", "largest"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        assert (getattr(one, name) != getattr(other, name)).any()


def test_nothing_is_verified_where_every_permutation_is_exact(studies):
    nothing = verify(replace(studies[0], path="exact"), PAIR, seed=5)
    assert not nothing.maps.any()
    assert not nothing.numbers.any()


def test_spreads_are_those_of_the_first_permutations(studies):
    study = studies[0]
    for number in (PAIR, ALL):
        features = solve_features(replace(study, eig_tol=np.inf), number, range(1, N_PILOT + 1)).features
        centred = features if number == PAIR else features - features.mean(axis=0)
        expected = np.sqrt((maps(study, centred) ** 2).mean(axis=(0, 2)))
        np.testing.assert_allclose(study.spreads[number], expected, rtol=1e-6)
        numbers = features[:, N * K :]
        centre = np.where(np.arange(4 * K) < (3 * K if number == PAIR else 0), 0, numbers.mean(axis=0))
        np.testing.assert_allclose(study.number_centres[number], centre, rtol=1e-6)
        spread = np.sqrt(((numbers - centre) ** 2).mean(axis=0))
        np.testing.assert_allclose(study.number_spreads[number], spread, rtol=1e-6)


@pytest.fixture
def unchosen(affinities, study_of, monkeypatch):
    """(study, pool) of a roughness, before a path has been chosen."""
    monkeypatch.setattr(pilot, "RANKS", (60, 120))

    def make(rough, **recipe):
        stack, recipe = affinities(IJK, len(LABELS), rough=rough, seed=3), Recipe(n_components=K, **recipe)
        study = study_of(stack, LABELS, IJK, recipe=recipe, n_perm=50, spreads=(), number_spreads=(), number_centres=())
        return study, partial(pool, stack, recipe)

    return make


def test_smooth_affinities_take_the_smallest_basis(unchosen):
    study, choice = choose_path(*unchosen(0.05))
    assert (study.path, choice.path, choice.rank, study.pooled.rank) == ("reduced", "reduced", 60, 60)


def test_rough_affinities_take_the_exact_path(unchosen):
    study, choice = choose_path(*unchosen(4.0))
    assert (study.path, choice.path, study.pooled.rank) == ("exact", "exact", 120)
    assert "above eig_tol with a basis of 120" in choice.words


def test_a_small_basis_that_is_within_the_tolerance_is_taken_where_the_reduced_path_is_asked_for(unchosen):
    assert choose_path(*unchosen(0.05), "reduced")[1].rank == 60


def test_the_reduced_path_that_is_asked_for_takes_the_largest_basis_before_it_gives_up_on_rough_affinities(unchosen):
    study, choice = choose_path(*unchosen(4.0), "reduced")
    assert (study.path, choice.rank) == ("reduced", 120)
    assert choice.words.startswith("reduced was asked for; ")
    assert choice.exact_share > pilot.MOST_EXACT


def test_the_cost_holds_permutations_that_turn_exact_and_the_verification(unchosen):
    smooth, rough = (choose_path(*unchosen(roughness), "reduced")[1] for roughness in (0.05, 4.0))
    assert smooth.exact_share <= pilot.FEW_EXACT
    assert rough.seconds > smooth.seconds
    assert smooth.seconds_once > 0
    assert smooth.estimate(1000, workers=2) == 500 * smooth.seconds + smooth.seconds_once
    assert "solved exactly" in smooth.words
    assert f"{100 * rough.exact_share:.0f} % of the groups solved exactly" in rough.cost


@pytest.mark.parametrize("wanted", ["reduced", "exact", "direct"])
def test_a_path_that_is_asked_for_is_taken(unchosen, wanted):
    study, choice = choose_path(*unchosen(1.0), wanted)
    assert (study.path, choice.path) == (wanted, wanted)
    assert choice.seconds > 0
    assert (study.pooled is None) == (wanted == "direct")


def test_an_epsilon_graph_is_solved_directly(unchosen):
    for wanted in (None, "exact"):
        choice = choose_path(*unchosen(1.0, graph="epsilon"), wanted)[1]
        assert choice.path == "direct"
        assert "edges of an ε-graph change with the labels" in choice.words
        assert ("exact was asked for" in choice.words) == (wanted is not None)


@pytest.mark.parametrize("recipe", [{"graph": "epsilon"}, {"approach": "pca"}])
def test_a_reduced_path_that_does_not_exist_is_refused(unchosen, recipe):
    with pytest.raises(UsageError, match="there is no reduced path"):
        choose_path(*unchosen(1.0, **recipe), "reduced")


def test_few_voxels_need_no_basis(unchosen, monkeypatch):
    monkeypatch.setattr(pilot, "RANKS", (N, 2 * N))
    assert choose_path(*unchosen(1.0))[1].path == "direct"


def test_subjects_who_are_all_the_same_are_refused(affinities, study_of):
    stack = np.repeat(affinities(IJK, 1), 6, axis=0)
    study = study_of(stack, tuple("aabbab"), IJK, n_perm=20, spreads=(), number_spreads=(), number_centres=())
    with pytest.raises(NumericsError, match="do not vary under permutation"):
        choose_path(study, partial(pool, stack, study.recipe))
