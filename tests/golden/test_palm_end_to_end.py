"""The whole of a permutation test with PALM's own permutations: PALM's every map, maximum and p-value."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.corrections import false_discovery
from thalgpu.engine.inference.permutation_set import permutations_from_file
from thalgpu.engine.inference.permutation_test import permutation_test
from thalgpu.engine.inputs.fsl_design import design_from_files

CONTRASTS = {1: "tstat", 2: "tstat", 3: "tstat", 4: "tstat", 5: "fstat"}
MEASURES = {"stat": "vox", "tfce": "tfce", "cluster_extent": "clustere"}
"""Ours → PALM's name."""
P_VALUES = {
    "p": "vox_{}_uncp",
    "p_fwe": "vox_{}_fwep",
    "p_tfce": "tfce_{}_uncp",
    "p_fwe_tfce": "tfce_{}_fwep",
    "p_fwe_cluster_extent": "clustere_{}_fwep",
}
each_contrast = pytest.mark.parametrize("c", CONTRASTS)


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "palm"


@pytest.fixture(scope="module")
def palm(folder):
    with np.load(folder / "palm_results.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def study(folder):
    """Values (24 subjects × 322 voxels), design, and where the voxels are."""
    mask = np.asarray(nib.load(folder / "M.nii.gz").dataobj) > 0
    values = np.asarray(nib.load(folder / "Y.nii.gz").dataobj)[mask].T.astype(np.float64)
    return (
        values,
        design_from_files(folder / "design.csv", folder / "contrasts.csv", folder / "ftests.csv"),
        np.argwhere(mask),
    )


@pytest.fixture(scope="module")
def found(study, palm):
    """Our result, a contrast: each has permutations of its own in PALM."""
    values, design, ijk = study

    def test(c):
        numbers = palm[f"vol_c{c}_permidx"].astype(np.int64)
        return permutation_test(
            values,
            design.matrix,
            [design.contrasts[c - 1]],
            permutations=permutations_from_file(numbers, block_tree(None, len(values)), Path("permidx")),
            adjacency=volume_neighbours(ijk, 6),
            cluster_adjacency=volume_neighbours(ijk, 26),
            tfce=True,
            tfce_grid="palm",
            statistic_scale="z",
            cluster_threshold=2.3,
        )

    return {c: test(c) for c in CONTRASTS}


@each_contrast
def test_statistic(found, palm, c):
    # PALM writes single precision: half of 1.2e-7 of the largest F, 13
    np.testing.assert_allclose(found[c].stat[0], palm[f"vol_vox_{CONTRASTS[c]}_c{c}"], rtol=0, atol=1e-6)


@each_contrast
def test_enhanced_map(found, palm, c):
    expected = palm[f"vol_tfce_{CONTRASTS[c]}_c{c}"]
    assert expected.max() > 10
    np.testing.assert_allclose(found[c].tfce[0], expected, rtol=1e-7)  # single precision again


@each_contrast
def test_cluster_extent(found, palm, c):
    np.testing.assert_array_equal(found[c].cluster_extent[0], palm[f"vol_clustere_{CONTRASTS[c]}_c{c}"])


@pytest.mark.parametrize("measure", MEASURES)
@each_contrast
def test_null_maximum_of_every_permutation(found, palm, c, measure):
    expected = palm[f"vol_{MEASURES[measure]}_{CONTRASTS[c]}_max_c{c}"]
    assert expected.shape == (100,)
    # double precision; z is cubed
    np.testing.assert_allclose(found[c].null_max[measure][0], expected, rtol=1e-11)


@pytest.mark.parametrize("name", P_VALUES)
@each_contrast
def test_p_of_every_voxel(found, palm, c, name):
    expected = palm[f"vol_{P_VALUES[name].format(CONTRASTS[c])}_c{c}"]
    np.testing.assert_allclose(getattr(found[c], name)[0], expected, rtol=6e-8)  # half a unit of single precision


@pytest.mark.parametrize(("name", "theirs"), [("p", "vox"), ("p_tfce", "tfce")])
@each_contrast
def test_false_discovery_p_of_every_voxel(found, palm, c, name, theirs):
    """PALM's adaptive adjustment, which `false_discovery` has as an option, of the p that we have found."""
    adjusted = false_discovery(getattr(found[c], name)[0], adaptive=True)
    np.testing.assert_allclose(adjusted, palm[f"vol_{theirs}_{CONTRASTS[c]}_fdrp_c{c}"], rtol=1.2e-7)


@each_contrast
def test_false_discovery_p_of_the_record_is_benjamini_and_hochbergs(found, c):
    np.testing.assert_allclose(found[c].p_fdr[0], stats.false_discovery_control(found[c].p[0]), rtol=1e-12)


def test_statistics_of_all_contrasts_in_one_call_are_those_of_one_at_a_time(study, found):
    values, design, _ = study
    together = permutation_test(values, design.matrix, design.contrasts, n_perm=2)
    assert (together.t.shape, together.f.shape) == ((4, 322), (1, 322))
    for c, alone in found.items():
        np.testing.assert_array_equal(together.stat[c - 1], alone.stat[0])


@pytest.fixture(scope="module")
def exhaustive(folder):
    design = design_from_files(folder / "ex_design.csv", folder / "ex_contrasts.csv")
    values = np.loadtxt(folder / "ex_Y.csv", delimiter=",")
    return permutation_test(values, design.matrix, design.contrasts, n_perm=0, statistic_scale="z")


FOUR_DECIMALS = {"rtol": 0, "atol": 0.51e-4}


def test_all_seventy_permutations_are_taken(exhaustive):
    assert exhaustive.n_perm == 70
    assert "70" in exhaustive.permutations


def test_exhaustive_statistic(exhaustive, palm):
    np.testing.assert_allclose(exhaustive.stat[0], palm["ex_dat_tstat"], **FOUR_DECIMALS)


def test_exhaustive_null_maxima_are_the_same_set(exhaustive, palm):
    np.testing.assert_allclose(
        np.sort(exhaustive.null_max["stat"][0]), np.sort(palm["ex_dat_tstat_max"]), **FOUR_DECIMALS
    )


@pytest.mark.parametrize(("name", "theirs"), [("p", "uncp"), ("p_fwe", "fwep")])
def test_exhaustive_p(exhaustive, palm, name, theirs):
    expected = np.rint(70 * palm[f"ex_dat_tstat_{theirs}"])
    np.testing.assert_allclose(70 * getattr(exhaustive, name)[0], expected, rtol=1e-12)
    np.testing.assert_allclose(expected / 70, palm[f"ex_dat_tstat_{theirs}"], **FOUR_DECIMALS)


def test_exhaustive_false_discovery_p(exhaustive, palm):
    adjusted = false_discovery(exhaustive.p[0], adaptive=True)
    np.testing.assert_allclose(adjusted, palm["ex_dat_tstat_fdrp"], **FOUR_DECIMALS)


def test_tail_p_lie_where_palms_do(study, palm):
    """PALM's 500 permutations are not stored: its p is one more draw among ours. Contrast 4 has effects.

    Medians, because PALM also accepts fits that end right behind what was observed: p of 4e-13 at a t of 3.5.
    """
    values, design, _ = study
    draws = [
        permutation_test(values, design.matrix, [design.contrasts[3]], n_perm=500, seed=seed, tail="gpd")
        for seed in range(12)
    ]
    for name, theirs, fewest in (("p", "uncp", 100), ("p_fwe", "fwep", 10)):
        ours = np.log([getattr(draw, name)[0] for draw in draws])
        expected = np.log(palm[f"tail_vox_tstat_{theirs}_c4"].astype(np.float64))
        small = expected < np.log(0.1)
        assert small.sum() >= fewest
        distance = (expected - ours.mean(axis=0))[small] / ours.std(axis=0, ddof=1)[small]
        assert np.median(np.abs(distance)) < 1.0  # 0.67 for independent voxels
