"""GradientMaps: thin over the engine's functions."""

import numpy as np
import pytest

from thalgpu import GradientMaps
from thalgpu.engine.gradients.affinity import affinity_from_timeseries, compute_affinity
from thalgpu.engine.gradients.alignment import generalised_procrustes, procrustes
from thalgpu.engine.gradients.connectivity import connectivity
from thalgpu.engine.gradients.embedding import embed
from thalgpu.errors import NumericsError, UsageError


def profiles(rng: np.random.Generator, n_subjects: int = 3) -> list[np.ndarray]:
    position = np.linspace(0, 1, 60)[:, None]
    common = np.exp(-((position - np.linspace(0, 1, 100)) ** 2) / 0.05)
    return [common + 0.1 * rng.standard_normal((60, 100)) for _ in range(n_subjects)]


def series(rng: np.random.Generator, n_subjects: int = 3) -> tuple[list[np.ndarray], list[np.ndarray]]:
    mixing = profiles(rng, n_subjects)
    targets = [rng.standard_normal((150, 100)) for _ in mixing]
    return [
        target @ one.T + rng.standard_normal((150, 60)) for target, one in zip(targets, mixing, strict=True)
    ], targets


def test_one_matrix_gives_the_embedding_of_its_affinity(rng):
    matrix = profiles(rng)[0]
    fitted = GradientMaps(4).fit(matrix)
    expected = embed(compute_affinity(matrix), n_components=4)
    np.testing.assert_array_equal(fitted.gradients_, expected.gradients)
    np.testing.assert_array_equal(fitted.lambdas_, expected.lambdas)
    assert fitted.aligned_ is None


def test_options_reach_affinity_and_embedding(rng):
    matrix = profiles(rng)[0]
    fitted = GradientMaps(3, "dm", "cosine", 0.5, alpha=0.2, diffusion_time=1, non_negative=True).fit(matrix)
    affinity = compute_affinity(matrix, kernel="cosine", sparsity=0.5)
    expected = embed(affinity, n_components=3, alpha=0.2, diffusion_time=1)
    np.testing.assert_array_equal(fitted.gradients_, expected.gradients)


def test_gamma_reaches_the_gaussian_kernel(rng):
    matrix = profiles(rng)[0]
    fitted = GradientMaps(3, "le", "gaussian", 0.0, gamma=0.1).fit(matrix)
    expected = embed(compute_affinity(matrix, kernel="gaussian", sparsity=0, gamma=0.1), approach="le", n_components=3)
    np.testing.assert_array_equal(fitted.gradients_, expected.gradients)


def test_epsilon_graph_is_used_where_asked_for(rng):
    matrix = profiles(rng)[0]
    fitted = GradientMaps(3, "le", "eta2", 0.0, graph="epsilon").fit(matrix)
    affinity = compute_affinity(matrix, kernel="eta2", sparsity=0)
    expected = embed(affinity, approach="le", graph="epsilon", n_components=3)
    np.testing.assert_array_equal(fitted.gradients_, expected.gradients)


def test_time_series_give_the_embedding_of_their_affinity(rng):
    seeds, targets = series(rng, 1)
    fitted = GradientMaps(3, fisher_z=False).fit_timeseries(seeds[0], targets[0])
    expected = embed(affinity_from_timeseries(seeds[0], targets[0], fisher_z=False), n_components=3)
    np.testing.assert_array_equal(fitted.gradients_, expected.gradients)


def test_several_subjects_are_aligned_to_their_mean_affinity(rng):
    matrices = profiles(rng)
    fitted = GradientMaps(3).fit(matrices)
    pooled = np.mean([compute_affinity(one) for one in matrices], axis=0)
    template = embed(pooled, n_components=3).gradients
    np.testing.assert_allclose(fitted.template_, template, atol=1e-9 * np.abs(template).max())
    for aligned, one in zip(fitted.aligned_, fitted.gradients_, strict=True):
        np.testing.assert_array_equal(aligned, procrustes(one, fitted.template_).aligned)


def test_pooled_connectivity_template_is_embedded_from_the_mean_matrix(rng):
    seeds, targets = series(rng)
    fitted = GradientMaps(3, template="pooled-connectivity").fit_timeseries(seeds, targets)
    mean = np.mean([connectivity(*one) for one in zip(seeds, targets, strict=True)], axis=0)
    template = embed(compute_affinity(mean), n_components=3).gradients
    np.testing.assert_allclose(fitted.template_, template, atol=1e-9 * np.abs(template).max())


def test_generalised_template_is_the_mean_after_alignment(rng):
    fitted = GradientMaps(3, template="generalised", n_align=2).fit(profiles(rng))
    expected = generalised_procrustes(fitted.gradients_, n_align=2)
    np.testing.assert_array_equal(fitted.template_, expected.reference)
    np.testing.assert_array_equal(
        fitted.aligned_[1], procrustes(fitted.gradients_[1], expected.reference, n_align=2).aligned
    )


def test_a_reference_takes_the_templates_place(rng):
    matrices = profiles(rng)
    reference = GradientMaps(3).fit(matrices[0]).gradients_
    one, several = (
        GradientMaps(3).fit(matrices[1], reference=reference),
        GradientMaps(3).fit(matrices, reference=reference),
    )
    np.testing.assert_array_equal(one.aligned_, procrustes(one.gradients_, reference).aligned)
    np.testing.assert_array_equal(several.aligned_[1], one.aligned_)
    np.testing.assert_array_equal(several.template_, reference)


def test_alignment_none_leaves_subjects_alone(rng):
    fitted = GradientMaps(3, alignment="none").fit(profiles(rng))
    assert fitted.aligned_ is None
    assert fitted.template_ is None


def test_float32_in_gives_float32_out(rng):
    fitted = GradientMaps(3).fit([one.astype(np.float32) for one in profiles(rng)])
    assert {one.dtype.name for one in [*fitted.gradients_, *fitted.aligned_, fitted.template_]} == {"float32"}


@pytest.mark.parametrize(
    "options",
    [
        {"n_components": 2.5},
        {"n_components": "3"},
        {"n_components": None},
        {"n_components": True},
        {"n_align": 1.0},
        {"alpha": "x"},
        {"alpha": float("nan")},
        {"sparsity": None},
        {"diffusion_time": float("inf")},
        {"gamma": [1]},
        {"kernel": None},
        {"kernel": ["cosine"]},
        {"approach": "umap"},
        {"kernel": "euclidean"},
        {"graph": "knn"},
        {"alignment": "joint"},
        {"template": "first"},
        {"n_components": 0},
        {"n_align": 0},
        {"sparsity": 1.0},
        {"sparsity": 90},
        {"alpha": -0.1},
        {"diffusion_time": -1},
        {"gamma": 0},
        {"approach": "pca", "graph": "epsilon"},
    ],
)
def test_options_that_do_not_exist_are_errors_at_construction(options):
    with pytest.raises(UsageError, match=next(iter(options)) if len(options) == 1 else "epsilon"):
        GradientMaps(**options)


def test_whole_numbers_may_be_numpys():
    assert GradientMaps(np.int32(3), n_align=np.int64(2), alpha=np.float32(0.5)).n_components == 3


@pytest.mark.parametrize(
    "wrong", [None, {"a": 1}, (row for row in ([1.0], [2.0])), [[1.0, 2.0], [3.0, 4.0]], "file.npy"]
)
def test_what_is_no_array_is_refused_with_a_remedy(wrong):
    with pytest.raises(NumericsError, match="give a NumPy array"):
        GradientMaps(3).fit(wrong)
    with pytest.raises(NumericsError, match="give a NumPy array"):
        GradientMaps(3).fit_timeseries(wrong, wrong)


def test_a_reference_that_is_no_array_is_refused_before_anything_is_computed(rng):
    with pytest.raises(NumericsError, match="reference is a list"):
        GradientMaps(3).fit(profiles(rng)[0], reference=[[1.0]])


@pytest.mark.parametrize(
    "relaid", [np.asfortranarray, lambda x: x.astype(x.dtype.newbyteorder()), lambda x: x[::-1].copy()[::-1]]
)
def test_equal_values_give_equal_bits_whatever_their_layout(rng, relaid):
    seeds, targets = series(rng)
    expected = GradientMaps(3).fit_timeseries(seeds[0], targets[0])
    found = GradientMaps(3).fit_timeseries(relaid(seeds[0]), relaid(targets[0]))
    np.testing.assert_array_equal(found.gradients_, expected.gradients_)
    matrix = profiles(rng)[0]
    found, expected = GradientMaps(3).fit(relaid(matrix)), GradientMaps(3).fit(matrix)
    np.testing.assert_array_equal(found.gradients_, expected.gradients_)


def test_subjects_over_different_voxels_are_refused(rng):
    matrices = profiles(rng)
    with pytest.raises(NumericsError, match="differ in shape"):
        GradientMaps(3).fit([matrices[0], matrices[1][:50]])


def test_no_subjects_are_refused():
    with pytest.raises(NumericsError, match="no subjects"):
        GradientMaps(3).fit([])


def test_series_of_different_numbers_of_subjects_are_refused(rng):
    seeds, targets = series(rng)
    with pytest.raises(NumericsError, match="two lists of one length"):
        GradientMaps(3).fit_timeseries(seeds, targets[:2])
    with pytest.raises(NumericsError, match="two lists of one length"):
        GradientMaps(3).fit_timeseries(seeds, targets[0])
