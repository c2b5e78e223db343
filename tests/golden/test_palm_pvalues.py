"""PALM's own p-values, from PALM's own null distributions."""

import nibabel as nib
import numpy as np
import pytest
from scipy import stats
from scipy.linalg import null_space

from thalgpu.engine.inference.corrections import false_discovery, familywise
from thalgpu.engine.inference.tails import gpd_p

CONTRASTS = [("t", 1), ("t", 2), ("t", 3), ("t", 4), ("f", 5)]
each_contrast = pytest.mark.parametrize(("kind", "c"), CONTRASTS, ids=["c1", "c2", "c3", "c4", "c5"])


@pytest.fixture(scope="module")
def palm(shared_data):
    with np.load(shared_data / "palm" / "palm_results.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def study(shared_data):
    """Values (24 subjects × 322 voxels), design and contrasts."""
    folder = shared_data / "palm"
    mask = np.asarray(nib.load(folder / "M.nii.gz").dataobj) > 0
    values = np.asarray(nib.load(folder / "Y.nii.gz").dataobj)[mask].T.astype(np.float64)
    return values, np.loadtxt(folder / "design.csv", delimiter=","), np.loadtxt(folder / "contrasts.csv", delimiter=",")


def without_float32_rounding(stored):
    """PALM's maps are stored in float32, its maxima in float64: the lowest value that rounds to what is stored."""
    return np.nextafter(stored, -np.inf, dtype=np.float32).astype(np.float64)


def z_of_t(t, df):
    return np.where(t > 0, -stats.norm.ppf(stats.t.sf(t, df)), stats.norm.ppf(stats.t.cdf(t, df)))


def z_of_f(f, rank, df):
    return -stats.norm.ppf(stats.f.sf(f, rank, df))


@each_contrast
def test_voxelwise_familywise_p_equals_palms(palm, kind, c):
    observed = without_float32_rounding(palm[f"vol_vox_{kind}stat_c{c}"])
    z = z_of_t(observed, 18) if kind == "t" else z_of_f(observed, 2, 18)  # the maxima are stored in z units
    p = familywise(z, palm[f"vol_vox_{kind}stat_max_c{c}"])
    np.testing.assert_array_equal(np.rint(100 * p), np.rint(100 * palm[f"vol_vox_{kind}stat_fwep_c{c}"]))


@pytest.mark.parametrize("measure", ["tfce", "clustere"])
@each_contrast
def test_tfce_and_cluster_familywise_p_equals_palms(palm, kind, c, measure):
    observed = without_float32_rounding(palm[f"vol_{measure}_{kind}stat_c{c}"])
    p = familywise(observed, palm[f"vol_{measure}_{kind}stat_max_c{c}"])
    theirs = palm[f"vol_{measure}_{kind}stat_fwep_c{c}"]
    inside = observed > 0  # PALM says 1 or 0 outside of clusters
    np.testing.assert_array_equal(np.rint(100 * p[inside]), np.rint(100 * theirs[inside]))


@pytest.mark.parametrize("measure", ["vox", "tfce"])
@each_contrast
def test_false_discovery_p_equals_palms(palm, kind, c, measure):
    # what PALM adjusts are multiples of 1/100, which float32 does not hold exactly
    p = np.rint(100 * palm[f"vol_{measure}_{kind}stat_uncp_c{c}"].astype(np.float64)) / 100
    adjusted = false_discovery(p, adaptive=True).astype(np.float32)
    np.testing.assert_allclose(
        adjusted, palm[f"vol_{measure}_{kind}stat_fdrp_c{c}"], rtol=1.2e-7
    )  # one unit of float32


def test_familywise_p_of_the_exhaustive_test_equals_palms(palm):
    lowest = palm["ex_dat_tstat"] - 0.5e-4  # stored with 4 decimals
    p = familywise(z_of_t(lowest, 6), palm["ex_dat_tstat_max"])
    np.testing.assert_allclose(p, palm["ex_dat_tstat_fwep"], atol=0.51e-4)


def test_false_discovery_p_of_the_exhaustive_test_equals_palms(palm):
    p = np.rint(70 * palm["ex_dat_tstat_uncp"]) / 70
    np.testing.assert_allclose(false_discovery(p, adaptive=True), palm["ex_dat_tstat_fdrp"], atol=0.51e-4)


def permuted_t(study, c, n_perm, rng):
    """(n_perm, n_voxels) t of a contrast, Freedman–Lane, the identity first: written out, one permutation at a time."""
    values, design, contrasts = study
    row = contrasts[c - 1 : c]
    gram = np.linalg.inv(design.T @ design)
    nuisance, _ = np.linalg.qr(design @ null_space(row))
    effect = (design @ gram @ row.T)[:, 0]
    effect = effect - nuisance @ (nuisance.T @ effect)
    effect /= np.linalg.norm(effect)
    residuals = values - nuisance @ (nuisance.T @ values)
    total, df = (residuals**2).sum(axis=0), len(values) - nuisance.shape[1] - 1
    t = np.empty((n_perm, values.shape[1]))
    for i in range(n_perm):
        shuffled = residuals if i == 0 else rng.permutation(residuals)
        a, b = effect @ shuffled, nuisance.T @ shuffled
        t[i] = a / np.sqrt((total - (b**2).sum(axis=0) - a**2) / df)
    return t


@pytest.fixture(scope="module")
def tails(study):
    """Contrast → (20, n_voxels) tail p, counted p and family-wise tail p of 20 sets of 500 permutations of our own."""
    rng = np.random.default_rng(1)
    both = {}
    for c in (1, 2, 3, 4):
        sets = [permuted_t(study, c, 500, rng) for _ in range(20)]
        counted = np.array([(t >= t[0] - 1e-9).mean(axis=0) for t in sets])
        corrected = np.array([gpd_p(t[0], t.max(axis=1))[0] for t in sets])
        both[c] = np.array([gpd_p(t[0], t)[0] for t in sets]), counted, corrected
    return both


def test_large_tail_p_of_palm_are_counted(palm):
    """PALM refines p below .1 only (to .1038 at most): larger ones are multiples of 1/500, up to float32."""
    for kind, c in CONTRASTS:
        p = palm[f"tail_vox_{kind}stat_uncp_c{c}"].astype(np.float64)
        large = 500 * p[p > 0.105]
        np.testing.assert_allclose(large, np.rint(large), atol=5e-5)


@pytest.mark.parametrize("c", [1, 2, 3, 4])
def test_each_tail_p_of_palm_lies_among_those_of_our_own_permutations(palm, tails, c):
    """PALM's 500 permutations are not stored, so its p are one draw, to be found among the draws that we make."""
    ours, counted, _ = tails[c]
    theirs = palm[f"tail_vox_tstat_uncp_c{c}"].astype(np.float64)
    small = counted.mean(axis=0) < 0.08  # below .1 in nearly every set
    centre, spread = np.log(ours[:, small]).mean(axis=0), np.log(ours[:, small]).std(axis=0)
    assert small.sum() > 30
    assert np.median(np.abs(np.log(theirs[small]) - centre) / spread) < 1.0  # 0.67 for independent voxels


def test_familywise_tail_p_of_palm_lie_among_those_of_our_own_permutations(palm, tails):
    """The fourth contrast is the one with effects: 12 voxels are below .1."""
    theirs, ours = palm["tail_vox_tstat_fwep_c4"].astype(np.float64), tails[4][2]
    small = theirs < 0.1
    assert small.sum() == 12
    centre, spread = np.log(ours[:, small]).mean(axis=0), np.log(ours[:, small]).std(axis=0)
    assert (np.abs(np.log(theirs[small]) - centre) < 2.5 * spread).all()


def test_tail_p_agree_with_palms_within_five_per_cent(palm, tails):
    """Over all contrasts, each of which PALM gave permutations of its own, once the luck of its draws is allowed for.

    The luck shows in p that PALM merely counted: the tail of a set goes along with its p between .12 and .5 (regression
    over our own sets). What is left has a standard error of 3 %.
    """
    differences = []
    for c, (ours, counted, _) in tails.items():
        theirs, truth = palm[f"tail_vox_tstat_uncp_c{c}"].astype(np.float64), counted.mean(axis=0)
        small, control = truth < 0.08, (truth > 0.12) & (truth < 0.5)
        usual = np.median(np.log(ours[:, small]), axis=0)
        tail = np.median(np.log(ours[:, small]) - usual, axis=1)
        luck = np.log(counted[:, control] / truth[control]).mean(axis=1)
        line = np.polyfit(luck, tail, 1)
        their_luck = np.log(theirs[control] / truth[control]).mean()
        differences.append(np.median(np.log(theirs[small]) - usual) - np.polyval(line, their_luck))
    assert abs(np.mean(differences)) < 0.05
