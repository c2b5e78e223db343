"""Group gradients compared where there is nothing to find, and where there is: p uniform, errors as often as they say.

200 cohorts of 12 subjects, 36 voxels, two groups of 6 and 6 or 7 and 5. Nothing is known of a voxel's p but that it
takes the values 1/n, 2/n, …, so it is first spread evenly down to the value before. Seeds are fixed.
"""

from functools import reduce

import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.comparison.blocks import Study, merge_blocks, observe, run_block
from thalgpu.engine.comparison.direct import solve_direct
from thalgpu.engine.comparison.finish import finish
from thalgpu.engine.comparison.labels import comparisons
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.pilot import choose_path
from thalgpu.engine.gradients.signs import fix_signs
from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.stretches import stretches

N_COHORTS, N_SUBJECTS, N_PERM, K = 200, 12, 99, 2
IJK = np.indices((4, 3, 3)).reshape(3, -1).T
TOO_RARE = 0.001
"""Of some 20 checks, a correct program fails one in about 2 % of all choices of seeds."""
LEAST = stats.binom(N_COHORTS, 0.04).ppf(TOO_RARE)
"""A test of 99 permutations, two of them ties in cohorts of six and six, rejects in 4 % of them at least."""
CORNER, MIDDLE = 0, 16
UPPER = np.triu_indices(len(IJK))
SMOOTH = np.linalg.cholesky(
    np.exp(-((IJK[:, None] - IJK[None]) ** 2).sum(axis=2) / 4) + 1e-6 * np.eye(len(IJK))
)  # fmt: skip


def packed(profiles):
    angles = np.arccos(np.clip(np.corrcoef(profiles), -1, 1))
    np.fill_diagonal(angles, 0)
    return (1 - angles / np.pi)[UPPER].astype(np.float32)


def cohort(number, effect=0.0):
    """Affinities of subjects from one population; of one in which the second group's profiles mix along x."""
    rng = np.random.default_rng([number, 20265])
    common = SMOOTH @ rng.normal(size=(len(IJK), 20))
    other = SMOOTH @ rng.normal(size=common.shape)
    half = (IJK[:, :1] < 2) * effect
    labels = tuple("a" * (6 + number % 2) + "b" * (6 - number % 2))
    stack = []
    for label in labels:
        mixed = common + half * (label == "b") * other
        stack.append(packed(mixed + 0.5 * SMOOTH @ rng.normal(size=common.shape)))
    return np.stack(stack), labels, rng.uniform


def compared(stack, labels, seed):
    """Parts of the one comparison, as the command runs it."""
    recipe = Recipe(n_components=K)
    options = InferenceOptions(n_perm=N_PERM, seed=seed, two_sided=True, tfce=True)
    everybody = solve_direct(stack, np.full((1, len(stack)), 1 / len(stack)), recipe)
    study = Study(
        stack=stack,
        recipe=recipe,
        pooled=None,
        template=fix_signs(everybody.gradients[0].astype(np.float64)),
        subspace=everybody.vectors[0].astype(np.float64),
        n_align=K,
        comparisons=comparisons(labels, options),
        covariates=None,
        neighbours=volume_neighbours(IJK, 6),
        options=options,
        path="direct",
        eig_tol=0.01,
        spreads=(),
        number_spreads=(),
        number_centres=(),
    )
    study = choose_path(study, lambda rank: pytest.fail("36 voxels need no basis"))[0]
    observed = observe(study, 0)
    result = reduce(merge_blocks, [run_block(study, 0, observed, *cut) for cut in stretches(N_PERM)])
    return {part.part.name: part.maps for part in finish(study, 0, observed, result)}


@pytest.fixture(scope="module")
def null():
    """name → (n_cohorts, n_features) p of every kind and part, and a uniform number a cohort for each."""
    found, spread = {}, []
    for number in range(N_COHORTS):
        stack, labels, uniform = cohort(number)
        for part, maps in compared(stack, labels, number).items():
            for name, values in maps.items():
                if name.startswith("p"):
                    found.setdefault((part, name), []).append(values)
        spread.append(uniform())
    return {key: np.array(values) for key, values in found.items()}, np.array(spread)


@pytest.mark.parametrize("part", ["component-1", "component-2"])
@pytest.mark.parametrize("voxel", [CORNER, MIDDLE])
@pytest.mark.parametrize("name", ["p", "p_tfce"])
def test_p_of_a_voxel_is_uniform(null, part, voxel, name):
    found, spread = null
    assert is_uniform(found[part, name][:, voxel], spread, tied=name == "p_tfce")


@pytest.mark.parametrize("part", ["eigenvalue", "explained", "range", "subspace"])
@pytest.mark.parametrize("component", [0, 1])
def test_p_of_a_number_is_uniform(null, part, component):
    found, spread = null
    assert is_uniform(found[part, "p"][:, component], spread)


def is_uniform(p, spread, *, tied=False):
    """Kolmogorov and Smirnov's test; of the small half of p where many enhanced values are exactly 0, whose p is 1."""
    even = p - spread / N_PERM
    if tied:
        few = even <= 0.5
        low, high = stats.binom(len(p), 0.5).ppf([TOO_RARE, 1 - TOO_RARE])
        return low <= few.sum() <= high and stats.kstest(even[few] * 2, "uniform").pvalue > TOO_RARE
    return stats.kstest(even, "uniform").pvalue > TOO_RARE


@pytest.mark.parametrize("name", ["p_fwe", "p_fwe_joint", "p_fwe_tfce", "p_fwe_joint_tfce"])
def test_maps_have_the_familywise_error_they_promise(null, name):
    found, _ = null
    for part in ("component-1", "component-2"):
        assert_as_often(found[part, name].min(axis=1) <= 0.05)
        if "joint" not in name:
            assert (found[part, name].min(axis=1) <= 0.05).sum() >= LEAST


def test_the_joint_error_is_of_all_components_together(null):
    found, _ = null
    for name in ("p_fwe_joint", "p_fwe_joint_tfce"):
        both = np.concatenate([found[part, name] for part in ("component-1", "component-2")], axis=1)
        assert_as_often(both.min(axis=1) <= 0.05)


@pytest.mark.parametrize("part", ["eigenvalue", "explained", "range", "subspace"])
def test_numbers_have_the_familywise_error_they_promise(null, part):
    found, _ = null
    wrong = found[part, "p_fwe"].min(axis=1) <= 0.05
    assert_as_often(wrong)
    assert wrong.sum() >= LEAST


def assert_as_often(wrong):
    """In a twentieth of the cohorts at most, within the binomial interval."""
    assert wrong.sum() <= stats.binom(N_COHORTS, 0.05).ppf(1 - TOO_RARE)


def test_a_planted_difference_is_found():
    found = [compared(*cohort(number, effect=1.0)[:2], number) for number in range(5)]
    for name in ("p_fwe", "p_fwe_tfce"):
        assert sum(min(one[f"component-{i + 1}"][name].min() for i in range(K)) <= 0.05 for one in found) >= 4
    assert sum(one["subspace"]["p_fwe"].min() <= 0.05 for one in found) >= 4
