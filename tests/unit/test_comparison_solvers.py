"""Components of weighted means: reduced, exact and direct, against a loop of LAPACK in float64."""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.linalg

from thalgpu.engine.comparison.direct import solve_direct
from thalgpu.engine.comparison.exact import TOLERANCE, calibrated, solve_exact
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.pooled import pool
from thalgpu.engine.comparison.reduced import solve_reduced
from thalgpu.engine.gradients.embedding import embed
from thalgpu.engine.gradients.signs import fix_signs
from thalgpu.errors import NumericsError

IJK = np.indices((6, 7, 6)).reshape(3, -1).T
N, K, S, RANK = len(IJK), 5, 20, 60
RECIPES = {
    "dm-0.5": Recipe(n_components=K),
    "dm-0": Recipe(n_components=K, alpha=0.0),
    "dm-1-t3": Recipe(n_components=K, alpha=1.0, diffusion_time=3.0),
    "le": Recipe("le", n_components=K),
}


@dataclass
class Plain:
    """What LAPACK makes of some means."""

    lambdas: np.ndarray
    vectors: np.ndarray
    gradients: np.ndarray
    totals: np.ndarray


def full(packed):
    matrix = np.zeros((N, N))
    matrix[np.triu_indices(N)] = packed
    return matrix + np.triu(matrix, 1).T


def plain(stack, weights, recipe):
    solved = []
    for row in weights:
        mean = full(row @ stack.astype(np.float64))
        alpha = recipe.alpha
        if recipe.approach == "le":
            alpha, mean = 0.0, mean - np.diag(np.diag(mean))
        damped = mean.sum(axis=1) ** -alpha
        weighted = damped[:, None] * mean * damped
        root = np.sqrt(weighted.sum(axis=1))
        operator = weighted / root[:, None] / root
        values, vectors = scipy.linalg.eigh(operator)
        values, vectors = values[-2 : -K - 2 : -1], vectors[:, -2 : -K - 2 : -1]
        maps = vectors / root[:, None]
        if recipe.approach == "dm":
            scale = values / (1 - values) if recipe.diffusion_time == 0 else values**recipe.diffusion_time
            maps = maps * np.linalg.norm(root) * scale
        solved.append((values, vectors, maps, np.trace(operator) - 1))
    return Plain(*(np.array(part) for part in zip(*solved, strict=True)))


def angles(solutions, exact):
    """(n_sets, K) of the vectors."""
    signs = np.sign((solutions.vectors * exact.vectors).sum(axis=1))
    return np.linalg.norm(solutions.vectors * signs[:, None] - exact.vectors, axis=1)


def map_errors(solutions, exact):
    """(n_sets, K) relative to the size of each map."""
    signs = np.sign((solutions.gradients * exact.gradients).sum(axis=1))
    differences = np.linalg.norm(solutions.gradients * signs[:, None] - exact.gradients, axis=1)
    return differences / np.linalg.norm(exact.gradients, axis=1)


def random_groups(n_sets, size, seed=0):
    rng, weights = np.random.default_rng(seed), np.zeros((n_sets, S))
    for row in weights:
        row[rng.permutation(S)[:size]] = 1 / size
    return weights


@pytest.fixture(scope="module")
def smooth(affinities):
    return affinities(IJK, S)


@pytest.fixture(scope="module")
def rough(affinities):
    return affinities(IJK, S, rough=1.0)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("data", ["smooth", "rough"])
def test_exact_components_are_those_of_the_loop(request, data, recipe):
    stack, weights = request.getfixturevalue(data), random_groups(4, 8)
    exact = plain(stack, weights, recipe)
    solutions = solve_exact(stack, pool(stack, recipe, RANK), weights)
    np.testing.assert_allclose(solutions.lambdas, exact.lambdas, rtol=1e-12)
    np.testing.assert_allclose(solutions.totals, exact.totals, rtol=1e-7)  # diagonals are kept in float32
    assert map_errors(solutions, exact).max() < 1e-6
    assert angles(solutions, exact).max() < 2e-7  # the tolerance asked for, 1e-7, and rounding


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("data", ["smooth", "rough"])
def test_reduced_components_are_within_their_estimate(request, data, recipe):
    stack = request.getfixturevalue(data)
    ratios = []
    for size in (4, 8, 14):
        weights = random_groups(8, size, seed=size)
        exact = plain(stack, weights, recipe)
        solutions = solve_reduced(pool(stack, recipe, RANK), weights)
        ratios.append(solutions.errors / np.maximum(angles(solutions, exact), 1e-6))
    ratios = np.concatenate(ratios)
    assert (ratios >= 1).mean() >= 0.99
    assert np.median(ratios) < 10


@pytest.mark.parametrize(("data", "better"), [("smooth", 0.95), ("rough", 1.02)])
def test_calibration_makes_errors_no_larger_and_estimates_closer_and_still_above_them(request, data, better):
    stack, recipe = request.getfixturevalue(data), RECIPES["dm-0.5"]
    before = pool(stack, recipe, RANK)
    after = calibrated(stack, before, random_groups(12, 8, seed=1))
    weights = random_groups(30, 8, seed=2)
    exact = plain(stack, weights, recipe)
    loose, tight = solve_reduced(before, weights), solve_reduced(after, weights)
    assert angles(tight, exact).mean() < better * angles(loose, exact).mean()
    ratios = tight.errors / angles(tight, exact)
    assert (ratios >= 1).mean() >= 0.99
    assert np.median(ratios) < 0.7 * np.median(loose.errors / angles(loose, exact))


def test_what_the_exact_path_estimates_is_its_error_in_single_precision(rough):
    weights = random_groups(12, 8)
    exact = plain(rough, weights, RECIPES["dm-0.5"])
    solutions = solve_exact(rough, pool(rough, RECIPES["dm-0.5"], RANK), weights, tolerance=TOLERANCE)
    ratios = solutions.errors / angles(solutions, exact)
    assert solutions.errors.max() <= 1.1 * TOLERANCE  # and rounding
    assert np.quantile(ratios, 0.01) >= 0.8
    assert np.median(ratios) < 10


def test_reported_residuals_bound_those_of_the_operator(rough):
    recipe, weights = RECIPES["dm-0"], random_groups(3, 8)
    solutions = solve_exact(rough, pool(rough, recipe, RANK), weights, tolerance=TOLERANCE)
    for which, row in enumerate(weights):
        mean = full(row @ rough.astype(np.float64))
        root = np.sqrt(mean.sum(axis=1))
        operator, vectors = mean / root[:, None] / root, solutions.vectors[which]
        residuals = operator @ vectors - vectors * solutions.lambdas[which]
        sizes = np.linalg.norm(residuals, axis=0) / solutions.lambdas[which]
        assert (sizes <= 1.1 * solutions.residuals[which] + 1e-5).all()  # products in float32


def test_a_larger_basis_is_nearer_to_the_truth(rough):
    recipe, weights = RECIPES["dm-0.5"], random_groups(6, 8)
    exact = plain(rough, weights, recipe)
    small, large = (solve_reduced(pool(rough, recipe, rank), weights) for rank in (30, 120))
    assert angles(large, exact).max() < 0.5 * angles(small, exact).max()
    assert large.errors.max() < 0.5 * small.errors.max()
    assert np.abs(large.lambdas / exact.lambdas - 1).max() < 1e-3


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_everybody_together_has_the_pooled_gradients(rough, recipe):
    everybody, pooled = np.full((1, S), 1 / S), pool(rough, recipe, RANK)
    mean = full(everybody[0] @ rough.astype(np.float64))
    embedding = embed(
        mean, approach=recipe.approach, n_components=K, alpha=recipe.alpha, diffusion_time=recipe.diffusion_time
    )
    size = np.abs(embedding.gradients).max()
    reduced = fix_signs(solve_reduced(pooled, everybody).gradients[0])
    np.testing.assert_allclose(reduced, embedding.gradients, atol=3e-5 * size)  # rounding of float32 over gaps
    exact = fix_signs(solve_exact(rough, pooled, everybody).gradients[0])
    np.testing.assert_allclose(exact, embedding.gradients, atol=1e-6 * size)
    direct = fix_signs(solve_direct(rough, everybody, recipe).gradients[0])
    np.testing.assert_allclose(direct, embedding.gradients, atol=1e-9 * size)


@pytest.mark.parametrize(
    "recipe", [Recipe("pca", n_components=K), Recipe("le", "epsilon", K), Recipe(graph="epsilon", n_components=K)]
)
def test_the_direct_path_embeds_as_a_subject_is(smooth, recipe):
    weights = random_groups(2, 8)
    solutions = solve_direct(smooth, weights, recipe)
    for which, row in enumerate(weights):
        embedding = embed(
            full(row @ smooth.astype(np.float64)), approach=recipe.approach, graph=recipe.graph, n_components=K
        )
        size = np.abs(embedding.gradients).max()
        np.testing.assert_allclose(fix_signs(solutions.gradients[which]), embedding.gradients, atol=1e-8 * size)
        np.testing.assert_allclose(solutions.vectors[which].T @ solutions.vectors[which], np.eye(K), atol=1e-9)


def test_negative_weights_are_weights(rough):
    recipe, weights = RECIPES["dm-0.5"], random_groups(3, 8)
    weights = weights + 0.02 * np.sin(np.arange(S))  # as covariates make them
    weights /= weights.sum(axis=1, keepdims=True)
    assert weights.min() < 0
    exact, pooled = plain(rough, weights, recipe), pool(rough, recipe, RANK)
    assert map_errors(solve_exact(rough, pooled, weights), exact).max() < 1e-6
    reduced = solve_reduced(pooled, weights)
    assert (angles(reduced, exact) <= reduced.errors).all()


def test_weights_that_leave_a_degree_negative_are_refused(rough):
    weights = np.full((1, S), 5 / (S - 1))
    weights[0, 0] = -4
    scaled = rough.copy()
    scaled[0] *= 10
    pooled = pool(scaled, RECIPES["dm-0.5"], RANK)
    with pytest.raises(NumericsError, match="degree"):
        solve_reduced(pooled, weights)
    with pytest.raises(NumericsError, match="degree"):
        solve_exact(scaled, pooled, weights, solve_reduced(pooled, random_groups(1, 8)))


def test_a_mean_in_pieces_is_refused(smooth):
    halves = np.arange(N) < N // 2
    mask = (halves[:, None] == halves)[np.triu_indices(N)]
    stack = smooth.copy()
    stack[:8] *= mask  # some subjects have two pieces, the others hold the pooled graph together
    weights = np.zeros((1, S))
    weights[0, :8] = 1 / 8
    for solve in (
        lambda: solve_reduced(pool(stack, RECIPES["dm-0.5"], RANK), weights),
        lambda: solve_exact(stack, pool(stack, RECIPES["dm-0.5"], RANK), weights),
        lambda: solve_direct(stack, weights, RECIPES["dm-0.5"]),
    ):
        with pytest.raises(NumericsError, match="pieces"):
            solve()


def test_two_components_of_one_size_have_their_common_plane(affinities):
    square = np.indices((12, 12, 1)).reshape(3, -1).T  # x and y are alike
    turned = np.ravel_multi_index((square[:, 1], square[:, 0]), (12, 12))
    rows, columns = np.triu_indices(len(square))
    stack = affinities(square, 6)
    other = np.zeros((len(square), len(square)), dtype=np.float32)
    for packed in stack:
        other[rows, columns] = other[columns, rows] = packed
        packed[:] = (other + other[turned][:, turned])[rows, columns] / 2
    recipe, weights = Recipe(n_components=2), np.eye(6)[:2]
    solutions = solve_exact(stack, pool(stack, recipe, 40), weights)
    reduced = solve_reduced(pool(stack, recipe, 40), weights)
    for one, two in zip(solutions.vectors, reduced.vectors, strict=True):
        assert np.isfinite(one).all()
        planes = np.linalg.svd(one.T @ two, compute_uv=False)
        assert planes.min() > 1 - 1e-3


def test_a_call_gives_the_same_bits_again_and_rows_agree_among_others(rough):
    pooled, weights = pool(rough, RECIPES["dm-0.5"], RANK), random_groups(150, 8)
    first, again = solve_reduced(pooled, weights), solve_reduced(pooled, weights)
    np.testing.assert_array_equal(first.gradients, again.gradients)
    some = solve_reduced(pooled, weights[100:110])
    np.testing.assert_allclose(some.lambdas, first.lambdas[100:110], rtol=1e-5)  # sums in float32, in another order
    inner = np.abs((some.vectors * first.vectors[100:110]).sum(axis=1))
    assert inner.min() > 1 - 1e-6


def test_an_exact_solution_may_start_from_a_reduced_one(rough):
    pooled, weights = pool(rough, RECIPES["dm-0.5"], RANK), random_groups(3, 8)
    given = solve_exact(rough, pooled, weights, solve_reduced(pooled, weights))
    np.testing.assert_array_equal(given.gradients, solve_exact(rough, pooled, weights).gradients)


def test_a_stack_may_be_a_memory_map(rough, tmp_path):
    np.save(tmp_path / "stack.npy", rough)
    mapped, weights = np.load(tmp_path / "stack.npy", mmap_mode="r"), random_groups(2, 8)
    pooled = pool(mapped, RECIPES["dm-0.5"], RANK)
    np.testing.assert_array_equal(
        solve_exact(mapped, pooled, weights).gradients,
        solve_exact(rough, pool(rough, RECIPES["dm-0.5"], RANK), weights).gradients,
    )
