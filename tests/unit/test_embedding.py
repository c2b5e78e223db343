"""Embeddings against a dense solution of the problem each is defined by, and what cannot be embedded."""

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray

from thalgpu.engine.gradients.embedding import diffusion_map, embed, laplacian_eigenmap, principal_components
from thalgpu.errors import EigengapWarning, NumericsError, UsageError
from thalgpu.kernels.laplacian import symmetric_operator


def gaussian_affinity(rng: np.random.Generator, n: int = 300) -> NDArray[np.float64]:
    points = rng.standard_normal((n, 3)) * [3.0, 2.0, 1.0]
    return np.exp(-((points[:, None] - points) ** 2).sum(-1) / 8)


def correlations(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("diffusion_time", [0, 1, 2.5])
def test_diffusion_map_solves_the_markov_matrix(rng, alpha, diffusion_time):
    affinity = gaussian_affinity(rng)
    result = diffusion_map(affinity, 5, alpha=alpha, diffusion_time=diffusion_time)

    degree = affinity.sum(axis=1) ** -alpha
    weights = affinity * degree[:, None] * degree
    values, vectors = scipy.linalg.eigh(weights, np.diag(weights.sum(axis=1)))
    values, vectors = values[::-1], vectors[:, ::-1]
    lambdas = values[1:6] / (1 - values[1:6]) if diffusion_time == 0 else values[1:6] ** diffusion_time
    maps = vectors[:, 1:6] / vectors[:, :1] * lambdas

    np.testing.assert_allclose(result.lambdas, lambdas, rtol=1e-10)
    # residuals of 1e-10 over relative gaps of some 1e-2
    np.testing.assert_allclose(np.abs(result.gradients), np.abs(maps), atol=1e-8 * np.abs(maps).max())


def test_laplacian_eigenmap_solves_the_generalised_problem_without_self_loops(rng):
    affinity = gaussian_affinity(rng)
    result = laplacian_eigenmap(affinity, 5)

    weights = affinity - np.diag(np.diagonal(affinity))
    degree = np.diag(weights.sum(axis=1))
    values, vectors = scipy.linalg.eigh(degree - weights, degree)  # scaled to y' D y = 1

    np.testing.assert_allclose(result.lambdas, values[1:6], rtol=1e-10)
    np.testing.assert_allclose(np.abs(result.gradients), np.abs(vectors[:, 1:6]), atol=1e-8)


def test_principal_components_are_the_scores_of_the_centred_rows(rng):
    affinity = gaussian_affinity(rng)
    result = principal_components(affinity, 5)

    left, singular, _ = np.linalg.svd(affinity - affinity.mean(axis=0))
    np.testing.assert_allclose(result.lambdas, singular[:5] ** 2 / (len(affinity) - 1), rtol=1e-10)
    np.testing.assert_allclose(np.abs(result.gradients), np.abs(left[:, :5] * singular[:5]), atol=1e-8)


@pytest.mark.parametrize("approach", ["dm", "le", "pca"])
def test_gaps_and_explained_shares_describe_the_solved_spectrum(rng, approach):
    affinity = gaussian_affinity(rng)
    result = embed(affinity, approach=approach, n_components=4)

    if approach == "pca":
        values = np.linalg.svd(affinity - affinity.mean(axis=0), compute_uv=False) ** 2
        rest, around = values, np.concatenate([[np.inf], values[:5]])
    else:
        operator, _ = symmetric_operator(affinity, alpha=0.5 if approach == "dm" else 0, self_loops=approach == "dm")
        values = np.linalg.eigvalsh(operator)[::-1]
        rest, around = values[1:], values[:6]
    gaps = np.minimum(around[:-2] - around[1:-1], around[1:-1] - around[2:]) / around[1:-1]
    np.testing.assert_allclose(result.gaps, gaps, rtol=1e-6)
    np.testing.assert_allclose(result.explained, rest[:4] ** 2 / (rest**2).sum(), rtol=1e-8)


@pytest.mark.parametrize("approach", ["dm", "le", "pca"])
def test_float32_affinity_gives_float32_gradients_of_the_float64_solution(rng, approach):
    affinity = gaussian_affinity(rng).astype(np.float32)
    single = embed(affinity, approach=approach, n_components=4)
    double = embed(affinity.astype(np.float64), approach=approach, n_components=4)
    assert single.gradients.dtype == np.float32
    assert single.lambdas.dtype == np.float64
    np.testing.assert_array_equal(single.lambdas, double.lambdas)
    np.testing.assert_array_equal(single.gradients, double.gradients.astype(np.float32))


@pytest.mark.parametrize("approach", ["dm", "le", "pca"])
def test_largest_element_of_each_component_is_positive(rng, approach):
    gradients = embed(gaussian_affinity(rng), approach=approach, n_components=6).gradients
    assert (gradients.max(axis=0) == np.abs(gradients).max(axis=0)).all()


@pytest.mark.parametrize("approach", ["dm", "le", "pca"])
def test_affinity_is_not_modified(rng, approach):
    affinity = gaussian_affinity(rng, 60)
    affinity.flags.writeable = False
    embed(affinity, approach=approach, n_components=3)


def test_rounding_asymmetry_is_averaged(rng):
    affinity = gaussian_affinity(rng)
    noisy = affinity + 1e-14 * rng.random(affinity.shape)
    mean = (noisy + noisy.T) / 2
    np.testing.assert_array_equal(diffusion_map(noisy, 3).gradients, diffusion_map(mean, 3).gradients)


@pytest.mark.fault("degenerate or disconnected graph")
def test_equal_eigenvalues_are_warned_of():
    ring = scipy.linalg.circulant([1, 0.5, 0, 0, 0, 0, 0, 0, 0, 0.5])  # cosine and sine have one eigenvalue
    with pytest.warns(EigengapWarning, match="component 1, 2"):
        result = diffusion_map(ring, 2)
    np.testing.assert_allclose(result.gaps, 0, atol=1e-12)


@pytest.mark.fault("degenerate or disconnected graph")
def test_components_beyond_the_rank_are_warned_of(rng):
    scores = 1 + rng.random((50, 3))
    with pytest.warns(EigengapWarning, match="component 3, 4"):
        result = diffusion_map(scores @ scores.T, 4)
    assert np.isfinite(result.gradients).all()


def two_pieces(rng: np.random.Generator) -> NDArray[np.float64]:
    return scipy.linalg.block_diag(*[gaussian_affinity(rng, 20)] * 2)


def damaged(rng: np.random.Generator, value: float, *, mirrored: bool = True) -> NDArray[np.float64]:
    affinity = gaussian_affinity(rng, 20)
    affinity[3, 7] = value
    if mirrored:
        affinity[7, 3] = value
    return affinity


def empty_row(rng: np.random.Generator) -> NDArray[np.float64]:
    affinity = gaussian_affinity(rng, 20)
    affinity[4], affinity[:, 4] = 0, 0
    return affinity


@pytest.mark.parametrize("approach", ["dm", "le"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (two_pieces, "2 pieces"),
        (empty_row, "1 of 20 rows .* row 4"),
        (lambda rng: damaged(rng, -0.1), "negative"),
        (lambda rng: damaged(rng, np.nan), "not finite"),
        (lambda rng: damaged(rng, np.inf), "not finite"),
        (lambda rng: damaged(rng, 0.5, mirrored=False), "not symmetric"),
        (lambda rng: gaussian_affinity(rng, 20)[:, :10], "square"),
        (lambda rng: gaussian_affinity(rng, 4), "at least 5 voxels"),
    ],
)
def test_graphs_without_gradients_are_named(rng, approach, make, message):
    with pytest.raises(NumericsError, match=message):
        embed(make(rng), approach=approach, n_components=3)


def test_no_weight_but_self_loops_is_no_graph_for_the_laplacian(rng):
    affinity = empty_row(rng)
    affinity[4, 4] = 1
    with pytest.raises(NumericsError, match="2 pieces"):
        laplacian_eigenmap(affinity, 3)


@pytest.mark.fault("degenerate or disconnected graph")
def test_link_of_rounding_size_is_no_connection(rng):
    affinity = two_pieces(rng)
    affinity[0, 30] = affinity[30, 0] = 1e-25
    with pytest.raises(NumericsError, match="rounding"):
        diffusion_map(affinity, 3)


def test_equal_rows_have_no_principal_components():
    with pytest.raises(NumericsError, match="all equal"):
        principal_components(np.ones((10, 10)), 2)


@pytest.mark.parametrize("diffusion_time", [200, 1e3, 1e6])
def test_a_time_after_which_nothing_is_left_is_refused(rng, diffusion_time):
    affinity = gaussian_affinity(rng, 40).astype(np.float32)
    with pytest.raises(NumericsError, match=r"after diffusion time .*, component \d .* 1e-30"):
        diffusion_map(affinity, 3, diffusion_time=diffusion_time)


def test_maps_after_the_longest_time_accepted_are_not_zero(rng):
    affinity = gaussian_affinity(rng, 40).astype(np.float32)
    first = diffusion_map(affinity, 1, diffusion_time=1).lambdas[0]
    longest = np.log(1e-30) / np.log(first)
    assert np.abs(diffusion_map(affinity, 1, diffusion_time=0.999 * longest).gradients).max() > 0
    with pytest.raises(NumericsError, match="component 1"):
        diffusion_map(affinity, 1, diffusion_time=1.001 * longest)


@pytest.mark.parametrize("solve", [diffusion_map, laplacian_eigenmap, principal_components])
def test_layout_and_byte_order_change_no_bit(rng, solve):
    affinity = gaussian_affinity(rng, 300)
    affinity = np.tril(affinity) + np.tril(affinity, -1).T
    expected = solve(affinity, 3).gradients
    for same in (np.asfortranarray(affinity), affinity.astype(">f8"), np.repeat(affinity, 2, axis=0)[::2]):
        found = solve(same, 3).gradients
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("solve", [diffusion_map, laplacian_eigenmap, principal_components])
@pytest.mark.parametrize("wrong", [np.eye(9, dtype=np.float16), np.ma.masked_array(np.eye(9)), [[1.0]], None])
def test_what_is_no_matrix_of_floats_is_refused(solve, wrong):
    with pytest.raises(NumericsError, match=r"float16|masked|NumPy array"):
        solve(wrong, 3)


def test_integers_are_embedded_in_float64(rng):
    affinity = (1e6 * gaussian_affinity(rng, 40)).astype(np.int64) + 1
    result = diffusion_map(affinity, 3)
    assert result.gradients.dtype == np.float64
    np.testing.assert_array_equal(result.gradients, diffusion_map(affinity.astype(float), 3).gradients)


@pytest.mark.fault("degenerate or disconnected graph")
@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_an_affinity_whose_products_leave_the_range_is_refused(rng, factor):
    with pytest.raises(NumericsError, match="largest entry"):
        principal_components(gaussian_affinity(rng, 40) * factor, 3)


@pytest.mark.parametrize("approach", ["dm", "le"])
def test_the_gap_warning_points_at_the_caller(approach):
    ring = np.exp(-np.minimum(np.arange(30), 30 - np.arange(30)) / 4.0)
    affinity = np.array([np.roll(ring, shift) for shift in range(30)])  # every eigenvalue but the first comes in pairs
    for call in (lambda: embed(affinity, approach=approach, n_components=2), lambda: diffusion_map(affinity, 2)):
        with pytest.warns(EigengapWarning) as caught:
            call()
        assert caught[0].filename == __file__


def test_negative_eigenvalue_has_no_broken_power():
    complete = np.ones((6, 6)) - np.eye(6)  # eigenvalues 1 and −1/5
    with pytest.raises(NumericsError, match="component 1 has a negative eigenvalue"):
        diffusion_map(complete, 2, diffusion_time=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"approach": "umap"}, "umap"),
        ({"graph": "knn"}, "knn"),
        ({"approach": "pca", "graph": "epsilon"}, "epsilon"),
        ({"alpha": 1.5}, "alpha"),
        ({"diffusion_time": -1}, "diffusion_time"),
        ({"diffusion_time": float("nan")}, "diffusion_time"),
        ({"n_components": 0}, "n_components is 0"),
        ({"n_components": 2.5}, "n_components is 2.5"),
        ({"n_components": None}, "n_components is None"),
        ({"alpha": "x"}, "alpha is 'x'"),
    ],
)
def test_options_out_of_range_are_usage_errors(rng, options, message):
    with pytest.raises(UsageError, match=message):
        embed(gaussian_affinity(rng, 20), **{"n_components": 3, **options})
