"""PALM's TFCE, clusters and their null maxima, from PALM's own statistics and permutations."""

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.engine.inference.spatial import cluster_maps, enhance

DF = 24 - 6
CONTRASTS = ["tstat_c1", "tstat_c2", "tstat_c3", "tstat_c4", "fstat_c5"]
SINGLE = {"rtol": 5e-7, "atol": 1e-30}  # PALM writes its maps in single precision, and what it writes is cubed here
PALM = InferenceOptions(tfce_grid="palm", statistic_scale="z", cluster_threshold=2.3)


@pytest.fixture(scope="module")
def palm(shared_data):
    folder = shared_data / "palm"
    answers = np.load(folder / "palm_results.npz")
    mask = np.asarray(nib.load(folder / "M.nii.gz").dataobj) > 0
    maps = np.asarray(nib.load(folder / "Y.nii.gz").dataobj, dtype=np.float64)[mask].T
    design = np.loadtxt(folder / "design.csv", delimiter=",")
    return answers, np.argwhere(mask), maps, design, np.loadtxt(folder / "contrasts.csv", delimiter=",")


def z_of_t(t):
    return np.sign(t) * stats.norm.isf(stats.t.sf(np.abs(t), DF))


def z_of(answers, contrast):
    """PALM's statistic, as a z map."""
    statistic = answers[f"vol_vox_{contrast}"].astype(np.float64)[None]
    return stats.norm.isf(stats.f.sf(statistic, 2, DF)) if contrast.startswith("f") else z_of_t(statistic)


def permuted_z(maps, design, weights, permutations):
    """z maps of a t contrast under PALM's permutations (Freedman-Lane, one regression a permutation)."""
    basis = np.linalg.svd(weights[None])[2][1:].T  # what the contrast does not test
    nuisance = design @ basis
    fit = nuisance @ np.linalg.pinv(nuisance)
    inverse = np.linalg.pinv(design)
    variance = weights @ inverse @ inverse.T @ weights
    statistics = []
    for permutation in permutations.astype(int) - 1:
        shuffled = np.empty_like(maps)
        shuffled[permutation] = maps - fit @ maps  # P = I[p - 1] applied as its transpose
        permuted = fit @ maps + shuffled
        beta = inverse @ permuted
        residuals = permuted - design @ beta
        statistics.append(weights @ beta / np.sqrt((residuals**2).sum(axis=0) / DF * variance))
    return z_of_t(np.array(statistics))


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_tfce_maps(palm, contrast):
    answers, ijk, *_ = palm
    found = enhance(z_of(answers, contrast), volume_neighbours(ijk, 6), PALM)[0]
    expected = answers[f"vol_tfce_{contrast}"]
    assert expected.max() > 10
    np.testing.assert_allclose(found, expected, **SINGLE)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_cluster_extents(palm, contrast):
    answers, ijk, *_ = palm
    # PALM joins the voxels of a cluster by their corners, and those of TFCE by their faces
    extent, _ = cluster_maps(z_of(answers, contrast), volume_neighbours(ijk, 26), PALM)
    np.testing.assert_array_equal(extent[0], answers[f"vol_clustere_{contrast}"])


@pytest.mark.parametrize("contrast", [1, 2, 3, 4])
def test_null_maxima(palm, contrast):
    answers, ijk, maps, design, contrasts = palm
    z = permuted_z(maps, design, contrasts[contrast - 1], answers[f"vol_c{contrast}_permidx"])
    extent, _ = cluster_maps(z, volume_neighbours(ijk, 26), PALM)
    tfce = enhance(z, volume_neighbours(ijk, 6), PALM)
    np.testing.assert_allclose(
        tfce.max(axis=1), answers[f"vol_tfce_tstat_max_c{contrast}"], rtol=1e-11
    )  # in double precision
    np.testing.assert_array_equal(extent.max(axis=1), answers[f"vol_clustere_tstat_max_c{contrast}"])
