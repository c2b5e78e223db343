"""Whole comparisons against a loop in float64: every permutation's means, `scipy.linalg.eigh`, and plain words."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import scipy.linalg

from thalgpu.engine.comparison import blocks
from thalgpu.engine.comparison.blocks import Study
from thalgpu.engine.comparison.exact import TOLERANCE
from thalgpu.engine.comparison.finish import PartResult, finish
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.statistics import SCALARS
from thalgpu.engine.gradients.alignment import procrustes
from thalgpu.engine.gradients.graph import epsilon_graph
from thalgpu.engine.inference.spatial import enhance

IJK = np.indices((4, 4, 4)).reshape(3, -1).T
K, N_PERM = 3, 126
LABELS = ("b", "a", "a", "b", "a", "b", "a", "a", "b")
"""Five and four: no permutation only exchanges the groups, whose difference would tie with the observed one."""

RECIPES = {
    "dm-0.5": Recipe(n_components=K, alpha=0.5),
    "dm-0": Recipe(n_components=K, alpha=0.0),
    "dm-1-t2": Recipe(n_components=K, alpha=1.0, diffusion_time=2.0),
    "le": Recipe("le", n_components=K),
    "epsilon": Recipe(graph="epsilon", n_components=K),
}


def opened(packed):
    n = len(IJK)
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n)] = packed
    return matrix + np.triu(matrix, 1).T


def embedded(mean, recipe):
    """Maps, eigenvalues, explained, and vectors of a mean affinity, by LAPACK."""
    if recipe.graph == "epsilon":
        mean = np.asarray(epsilon_graph(mean)[0], dtype=np.float64)
    alpha = recipe.alpha
    if recipe.approach == "le":
        alpha, mean = 0.0, mean - np.diag(np.diag(mean))
    degree = mean.sum(axis=1) ** -alpha
    anisotropic = mean * degree[:, None] * degree
    root = np.sqrt(anisotropic.sum(axis=1))
    operator = anisotropic / root[:, None] / root
    values, vectors = scipy.linalg.eigh(operator)
    values, vectors = values[-2 : -K - 2 : -1], vectors[:, -2 : -K - 2 : -1]
    if recipe.approach == "le":
        maps = vectors / root[:, None]
    else:
        scale = values / (1 - values) if recipe.diffusion_time == 0 else values**recipe.diffusion_time
        maps = vectors / (root / np.linalg.norm(root))[:, None] * scale
    # without self-loops the trace is 0: components are then held against one another
    total = values.sum() if recipe.approach == "le" else np.trace(operator) - 1
    return maps, values, values / total, vectors


def differences(study, weights):
    """Features of one permutation of a pair, one after the other."""
    groups = []
    for row in weights:
        maps, values, explained, vectors = embedded(opened(row @ study.stack.astype(np.float64)), study.recipe)
        aligned = procrustes(maps, study.template).aligned
        groups.append((aligned.T.ravel(), values, explained, np.ptp(aligned, axis=0), vectors))
    one, other = groups
    angles = [scipy.linalg.subspace_angles(one[4][:, :j], other[4][:, :j]) for j in range(1, K + 1)]
    distances = [np.sqrt((np.sin(found) ** 2).sum()) for found in angles]
    return np.concatenate([*(a - b for a, b in zip(one[:4], other[:4], strict=True)), distances])


@dataclass(frozen=True)
class Case:
    """A study of all permutations, what the loop makes of it, and what the study does."""

    study: Study
    expected: np.ndarray
    found: np.ndarray
    parts: tuple[PartResult, ...]

    def sizes(self, name):
        """Magnitudes of a part by the loop."""
        return np.abs(named(self.study, self.expected)[name])

    def slack(self, name):
        """A millionth of what is subtracted: of 1 for numbers between 0 and 1, of the largest value for maps."""
        if name in ("eigenvalue", "explained"):
            return 1e-6
        if name == "subspace":
            return 1e-5  # the root of a difference of numbers near 1, from vectors in float32
        return 1e-6 * np.abs(self.study.template).max()


@pytest.fixture(scope="module", params=RECIPES)
def case(request, affinities, study_of):
    recipe = RECIPES[request.param]
    rank = 0 if recipe.graph == "epsilon" else 30
    study = study_of(affinities(IJK, len(LABELS)), LABELS, IJK, recipe=recipe, rank=rank, tfce=True)
    comparison = study.comparisons[0]
    weights = comparison.weights(range(comparison.permutations.n_perm), len(LABELS))
    assert len(weights) == N_PERM
    expected = np.stack([differences(study, one) for one in weights])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "solve_exact", partial(blocks.solve_exact, tolerance=1e-8))
        observed = blocks.observe(study, 0)
        parts = finish(study, 0, observed, blocks.run_block(study, 0, observed, 0, N_PERM))
        return Case(study, expected, blocks.solve_features(study, 0, range(N_PERM)).features, parts)


def named(study, features):
    return {part.name: features[..., part.start : part.stop] for part in study.parts}


def assert_share(p, null, observed, slack):
    """p is the share of the null that reaches the observed, but for what is nearer to it than both may be off."""
    slack = 2 * slack
    assert (p >= (null >= observed + slack).mean(axis=0)).all()
    assert (p <= (null >= observed - slack).mean(axis=0)).all()
    assert (p == (null >= observed).mean(axis=0)).mean() > 0.95


def test_every_statistic_of_every_permutation_is_the_loops(case):
    for name, values in named(case.study, case.expected).items():
        found = named(case.study, case.found)[name]
        np.testing.assert_allclose(found, values, rtol=0, atol=case.slack(name), err_msg=name)


def test_by_default_maps_are_as_exact_as_they_say(case):
    batch = blocks.solve_features(case.study, 0, range(N_PERM))
    limit = np.sqrt(2) * TOLERANCE * np.sqrt((case.study.template**2).mean(axis=0))
    for i in range(K):
        error = named(case.study, batch.features)[f"component-{i + 1}"] - case.expected[:, i * 64 : (i + 1) * 64]
        assert (np.sqrt((error**2).mean(axis=1)) <= 1.2 * limit[i]).all()  # groups' maps are larger than the template


def test_every_p_is_the_loops(case):
    for part in case.parts:
        name = part.part.name
        sizes, slack = case.sizes(name), case.slack(name)
        assert_share(part.maps["p"], sizes, sizes[0], slack)
        place = SCALARS.index(name) * K if name in SCALARS else 0
        units = case.study.number_spreads[0][place : place + K] if name in SCALARS else np.ones(1)
        centres = case.study.number_centres[0][place : place + K] if name in SCALARS else np.zeros(1)
        sizes = (sizes - centres) / units
        maxima = sizes.max(axis=1)
        np.testing.assert_allclose(part.null["stat"], maxima, rtol=0, atol=slack)
        assert_share(part.maps["p_fwe"], maxima[:, None], sizes[0], slack)


def test_maps_are_joined_in_units_of_their_spreads(case):
    spreads = case.study.spreads[0]
    joint = np.max([case.sizes(f"component-{i + 1}").max(axis=1) / spreads[i] for i in range(K)], axis=0)
    for part, spread in zip(case.parts[:K], spreads, strict=True):
        sizes = case.sizes(part.part.name)[0] / spread
        assert_share(part.maps["p_fwe_joint"], joint[:, None], sizes, case.slack("component-1") / spreads.min())


def test_every_enhanced_map_and_its_p_are_the_loops(case):
    for part in case.parts[:K]:
        maps = np.ascontiguousarray(named(case.study, case.expected)[part.part.name])
        enhanced = enhance(maps, case.study.neighbours, case.study.options)
        sizes = np.abs(enhanced)
        slack = 1e-4 * sizes.max()  # cubes of heights
        np.testing.assert_allclose(part.maps["tfce"], enhanced[0], rtol=0, atol=slack)
        np.testing.assert_allclose(part.null["tfce"], sizes.max(axis=1), rtol=0, atol=slack)
        assert_share(part.maps["p_tfce"], sizes, sizes[0], slack)
        assert_share(part.maps["p_fwe_tfce"], sizes.max(axis=1)[:, None], sizes[0], slack)
