"""nilearn's `permuted_ols` with the permutations that it draws: its maxima and p; and its power on planted effects."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.permutation_set import permutations_from_file
from thalgpu.engine.inference.permutation_test import permutation_test

nilearn_ols = pytest.importorskip(
    "nilearn.mass_univariate", reason="nilearn is an optional peer (extra [validate])"
).permuted_ols

N_SUBJECTS, N_PERM, SEED = 30, 200, 7
SHAPE = (7, 8, 6)


@pytest.fixture
def data(rng):
    """Values with effects in places, what is tested, and two nuisance variables."""
    tested = rng.normal(size=N_SUBJECTS)
    nuisance = np.column_stack([rng.normal(size=N_SUBJECTS) + 0.5 * tested, rng.normal(size=N_SUBJECTS)])
    values = rng.normal(size=(N_SUBJECTS, 80)) + nuisance @ rng.normal(size=(2, 80))
    values[:, ::9] += 0.6 * tested[:, None]
    values[:, 4::9] -= 0.6 * tested[:, None]
    return values, tested, nuisance


@pytest.fixture
def volumes(rng):
    """Smooth maps of a small volume, and nilearn's masker of it."""
    maskers = pytest.importorskip("nilearn.maskers", reason="nilearn is an optional peer (extra [validate])")
    mask = np.ones(SHAPE, dtype=np.uint8)
    mask[0, :, 0] = 0
    noise = ndimage.gaussian_filter(rng.normal(size=(N_SUBJECTS, *SHAPE)), (0, 0.8, 0.8, 0.8))
    masker = maskers.NiftiMasker(nib.Nifti1Image(mask, np.eye(4)), dtype="float64").fit()
    return noise[:, mask > 0] / noise.std(), np.argwhere(mask), masker


def nilearns_draws(n_perm, n_rows, *, flips=False):
    """The permutations, or sign flips, of nilearn with one job: each is applied to what the one before has left."""
    numbers = np.random.RandomState(np.random.RandomState(SEED).randint(1, np.iinfo(np.int32).max - 1))
    order = np.arange(1, n_rows + 1)
    drawn = [order]
    for _ in range(n_perm):
        order = order * (numbers.randint(2, size=n_rows) * 2 - 1) if flips else order[numbers.permutation(n_rows)]
        drawn.append(order)
    return permutations_from_file(np.array(drawn), block_tree(None, n_rows), Path("nilearn"))


def both(values, tested, nuisance=None, *, masker=None, n_perm=N_PERM, **options):
    """nilearn's result, and ours with its permutations and the identity."""
    two_sided = options.get("two_sided", False)
    spatial = {"tfce": True, "masker": masker, "threshold": 0.05} if masker else {}
    theirs = nilearn_ols(
        tested[:, None], values, nuisance, n_perm=n_perm, two_sided_test=two_sided, random_state=SEED, **spatial
    )
    others = () if nuisance is None else (nuisance,)
    design = np.column_stack([tested, np.ones(len(values)), *others])
    weights = np.eye(design.shape[1])[0]
    draws = nilearns_draws(n_perm, len(values))
    return theirs, permutation_test(values, design, weights, permutations=draws, **options)


@pytest.mark.parametrize("two_sided", [False, True])
def test_with_nilearns_permutations_its_t_maxima_and_p(data, two_sided):
    theirs, ours = both(*data, two_sided=two_sided)
    np.testing.assert_allclose(ours.t, theirs["t"], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(ours.null_max["stat"][:, 1:], theirs["h0_max_t"], rtol=1e-11)
    np.testing.assert_allclose(ours.p_fwe, 10 ** -theirs["logp_max_t"], rtol=1e-12)
    assert (ours.p_fwe < 0.05).any()


@pytest.mark.parametrize("two_sided", [False, True])
def test_with_nilearns_sign_flips_its_t_maxima_and_p(data, two_sided):
    values = data[0] + 0.4
    ones = np.ones((N_SUBJECTS, 1))
    theirs = nilearn_ols(ones, values, n_perm=N_PERM, two_sided_test=two_sided, random_state=SEED)
    draws = nilearns_draws(N_PERM, N_SUBJECTS, flips=True)
    ours = permutation_test(values, ones, [1], permutations=draws, sign_flip=True, two_sided=two_sided)
    np.testing.assert_allclose(ours.t, theirs["t"], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(ours.null_max["stat"][:, 1:], theirs["h0_max_t"], rtol=1e-11)
    np.testing.assert_allclose(ours.p_fwe, 10 ** -theirs["logp_max_t"], rtol=1e-12)


@pytest.mark.filterwarnings("ignore:Data array used to create a new image contains 64-bit ints:UserWarning")  # its own
@pytest.mark.parametrize("two_sided", [False, True])
def test_with_nilearns_permutations_its_tfce_and_clusters(volumes, rng, two_sided):
    values, ijk, masker = volumes
    tested = rng.normal(size=N_SUBJECTS)
    values = values + 0.5 * tested[:, None] * (np.linalg.norm(ijk - [4, 4, 3], axis=1) < 2)
    t_critical = {False: 1.7011309342659315, True: 2.048407141795244}[two_sided]  # of 28 degrees of freedom, at .05
    theirs, ours = both(
        values,
        tested,
        masker=masker,
        n_perm=60,
        two_sided=two_sided,
        adjacency=volume_neighbours(ijk, 6),
        tfce=True,
        tfce_grid="nilearn",
        cluster_threshold=t_critical,
    )
    np.testing.assert_allclose(ours.tfce, theirs["tfce"], rtol=3e-7, atol=1e-6)  # returned in single precision
    np.testing.assert_allclose(ours.null_max["tfce"][:, 1:], theirs["h0_max_tfce"], rtol=1e-10)
    np.testing.assert_array_equal(ours.null_max["cluster_extent"][:, 1:], theirs["h0_max_size"])
    np.testing.assert_array_equal(ours.cluster_extent, theirs["size"])
    # nilearn's mass is what exceeds the threshold, PALM's and ours the whole
    np.testing.assert_allclose(ours.cluster_mass - t_critical * ours.cluster_extent, theirs["mass"], rtol=1e-10)
    p = 10 ** -theirs["logp_max_tfce"]
    inside = ours.tfce != 0
    np.testing.assert_allclose(ours.p_fwe_tfce[inside], p[inside], rtol=1e-12)
    assert (ours.p_fwe_tfce < 0.05).any()


def test_random_permutations_have_the_null_distribution_of_nilearns(data):
    values, tested, nuisance = data
    theirs = nilearn_ols(tested[:, None], values, nuisance, n_perm=1000, two_sided_test=True, random_state=1)
    design = np.column_stack([tested, np.ones(N_SUBJECTS), nuisance])
    ours = permutation_test(values, design, [1, 0, 0, 0], n_perm=1001, two_sided=True)
    for share in (0.25, 0.5, 0.75, 0.9):
        quantile = np.quantile(theirs["h0_max_t"], share)
        below = (ours.null_max["stat"][0, 1:] < quantile).mean()
        assert abs(below - share) < 4 * np.sqrt(2 * share * (1 - share) / 1000)  # both are draws
    log_p = -np.log10(ours.p_fwe[0])
    assert np.corrcoef(log_p, theirs["logp_max_t"][0])[0, 1] > 0.995


def test_planted_effects_are_found_as_often_as_by_nilearn():
    """Forty small studies, ten true features of sixty; one-sided, family-wise .05."""
    found = {"ours": 0, "theirs": 0, "both": 0}
    false = 0
    for number in range(40):
        rng = np.random.default_rng([20260, number])
        tested, nuisance = np.repeat([1.0, 0.0], 10), rng.normal(size=(20, 1))
        values = rng.normal(size=(20, 60)) + nuisance
        values[:, :10] += 1.8 * tested[:, None]
        theirs = nilearn_ols(tested[:, None], values, nuisance, n_perm=300, two_sided_test=False, random_state=number)[
            "logp_max_t"
        ][0] > -np.log10(0.05)
        design = np.column_stack([tested, 1 - tested, nuisance])
        ours = permutation_test(values, design, [1, -1, 0], n_perm=301, seed=number).p_fwe[0] < 0.05
        found["ours"] += int(ours[:10].sum())
        found["theirs"] += int(theirs[:10].sum())
        found["both"] += int((ours & theirs)[:10].sum())
        false += int(ours[10:].any())
    assert 100 < found["theirs"] < 350  # neither hardly any nor all of 400
    # the same test with other draws: features at the border fall to either side
    only_one = found["ours"] + found["theirs"] - 2 * found["both"]
    assert found["ours"] >= found["theirs"] - 2 * np.sqrt(only_one)
    assert false <= 6  # 2 are expected; 7 or more come once in 200
