"""Nuclei summarise: a label image looked up voxel by voxel."""

import numpy as np
import pytest

from thalgpu.engine.config import GradientOptions
from thalgpu.engine.inputs.model import LEFT, Region, VolumeGrid
from thalgpu.engine.pipelines.nuclei import match_nuclei
from thalgpu.engine.pipelines.parts import split_parts
from thalgpu.errors import InputError

GRID = VolumeGrid((4, 4, 4), ((2.0, 0, 0, 0), (0, 2.0, 0, 0), (0, 0, 2.0, 0), (0, 0, 0, 1.0)))


def region(flat, **parcels):
    flat = np.asarray(flat, dtype=np.int64)
    return Region("atlas.nii", GRID, flat, np.full(len(flat), LEFT, dtype=np.int8), **parcels)


def atlas(flat, parcel, names=("MD", "VPL")):
    sides = np.full(len(names), LEFT, dtype=np.int8)
    return region(flat, parcel=np.asarray(parcel, dtype=np.int32), names=names, parcel_hemisphere=sides)


@pytest.fixture
def part():
    options = GradientOptions(n_components=2, n_align=2)
    return split_parts(region([10, 11, 12, 20, 21, 22]), region([50, 51]), options)[0].thalamus


def test_each_voxel_gets_the_nucleus_at_its_place(part):
    nuclei = match_nuclei(atlas([9, 11, 12, 21, 40], [0, 0, 1, 1, 0]), part)
    np.testing.assert_array_equal(nuclei.nucleus, [-1, 0, 1, -1, 1, -1])
    assert nuclei.names == ("MD", "VPL")


def test_voxels_beyond_the_atlas_lie_outside(part):
    nuclei = match_nuclei(atlas([10], [0], names=("MD",)), part)
    np.testing.assert_array_equal(nuclei.nucleus, [0, -1, -1, -1, -1, -1])


def test_means_are_over_voxels_with_a_signal(part):
    nuclei = match_nuclei(atlas([10, 11, 12, 20], [0, 0, 0, 1]), part)
    values = np.array([1.0, 2.0, 100.0, 5.0, 7.0, 9.0])
    covered = np.array([True, True, False, True, True, True])
    assert nuclei.means(values, covered) == {"MD": 1.5, "VPL": 5.0}


def test_nucleus_without_a_signal_has_no_mean(part):
    nuclei = match_nuclei(atlas([10, 20], [0, 1]), part)
    covered = np.array([True, True, True, False, True, True])
    assert nuclei.means(np.arange(6.0), covered) == {"MD": 0.0, "VPL": None}


def test_atlas_elsewhere_is_refused(part):
    with pytest.raises(InputError, match=r"no thalamic voxel lies inside a nucleus \(atlas.nii\)"):
        match_nuclei(atlas([1, 60], [0, 1]), part)


def test_mask_is_no_atlas(part):
    with pytest.raises(InputError, match="is a mask"):
        match_nuclei(region([10, 11]), part)


def test_key_follows_the_labels(part):
    one, other = (match_nuclei(atlas([10, 11], parcel), part).key for parcel in ([0, 1], [1, 0]))
    assert one != other
