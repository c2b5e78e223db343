"""Which voxels and targets take part in which embedding."""

import numpy as np
import pytest

from thalgpu.engine.config import GradientOptions
from thalgpu.engine.inputs.model import LEFT, MIDLINE, RIGHT, CiftiGrid, Region, VolumeGrid
from thalgpu.engine.pipelines.parts import split_parts
from thalgpu.errors import NumericsError, UsageError

GRID = VolumeGrid((10, 4, 3), ((-2.0, 0, 0, 9.0), (0, 2.0, 0, 0), (0, 0, 2.0, 0), (0, 0, 0, 1.0)))
FEW = GradientOptions(n_components=2, n_align=2)


def region(flat, **parcels):
    flat = np.asarray(flat, dtype=np.int64)
    ijk = np.column_stack(np.unravel_index(flat, GRID.shape)).astype(np.int32)
    xyz = ijk @ np.array(GRID.affine)[:3, :3].T + np.array(GRID.affine)[:3, 3]
    return Region("test", GRID, flat, np.sign(xyz[:, 0]).astype(np.int8), ijk, xyz, **parcels)


THALAMUS = region(np.arange(0, 120, 3))
CORTEX = region(np.arange(1, 120, 3))


def options(**changed):
    return GradientOptions(n_components=2, n_align=2, **changed)


def test_both_thalami_make_one_part_of_everything():
    (part,) = split_parts(THALAMUS, CORTEX, FEW)
    assert part.hemisphere is None
    assert (part.n_voxels, len(part.targets)) == (40, 40)
    np.testing.assert_array_equal(part.thalamus.flat, THALAMUS.flat)


def test_separate_parts_share_no_voxel_and_miss_none():
    left, right = split_parts(THALAMUS, CORTEX, options(hemisphere="separate"))
    assert (left.hemisphere, right.hemisphere) == ("L", "R")
    assert (left.thalamus.xyz[:, 0] < 0).all()
    assert (right.thalamus.xyz[:, 0] > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate([left.voxels, right.voxels])), np.arange(40))
    assert len(left.targets) == len(right.targets) == 40


def test_ipsilateral_targets_lie_on_the_thalamus_side():
    for part in split_parts(THALAMUS, CORTEX, options(hemisphere="separate", targets="ipsilateral")):
        side = LEFT if part.hemisphere == "L" else RIGHT
        assert (part.cortex.unit_hemisphere == side).all()
        assert 0 < len(part.targets) < 40


def test_parcels_on_the_midline_are_no_ones_ipsilateral_target():
    parcel = np.repeat(np.arange(4), 10).astype(np.int32)
    sides = np.array([LEFT, RIGHT, LEFT, MIDLINE], dtype=np.int8)
    cortex = region(CORTEX.flat, parcel=parcel, names=("a", "b", "c", "d"), parcel_hemisphere=sides)
    (part,) = split_parts(THALAMUS, cortex, options(hemisphere="L", targets="ipsilateral"))
    np.testing.assert_array_equal(part.targets, [0, 2])
    assert part.cortex.names == ("a", "c")


def test_ipsilateral_without_a_side_is_refused():
    with pytest.raises(UsageError, match="--hemisphere separate"):
        split_parts(THALAMUS, CORTEX, options(targets="ipsilateral"))


def test_too_few_voxels_for_the_components_are_refused():
    with pytest.raises(NumericsError, match="3 thalamic voxels cannot carry 2 components"):
        split_parts(region([0, 3, 6]), CORTEX, FEW)


def test_missing_hemisphere_is_refused_by_name():
    right_only = region(THALAMUS.flat[THALAMUS.hemisphere == RIGHT])
    with pytest.raises(NumericsError, match="0 thalamic voxels in hemisphere L"):
        split_parts(right_only, CORTEX, options(hemisphere="separate"))


def test_single_target_is_refused():
    with pytest.raises(NumericsError, match="1 targets are left"):
        split_parts(THALAMUS, region([1]), FEW)


def test_key_knows_voxels_and_targets():
    key = split_parts(THALAMUS, CORTEX, FEW)[0].key
    assert split_parts(THALAMUS, CORTEX, options(alpha=0.1))[0].key == key
    assert split_parts(region(THALAMUS.flat[1:]), CORTEX, FEW)[0].key != key
    assert split_parts(THALAMUS, region(CORTEX.flat[1:]), FEW)[0].key != key


def test_places_of_covered_voxels_come_with_the_images_width():
    (part,) = split_parts(THALAMUS, CORTEX, FEW)
    covered = np.arange(40) % 2 == 0
    places = part.voxel_places(covered)
    assert places["n_x"] == 10
    np.testing.assert_array_equal(places["ijk"], THALAMUS.ijk[covered])


def test_vertices_have_no_places():
    flat = np.arange(40)
    surface = Region("s", CiftiGrid(100, object()), flat, np.full(40, LEFT, dtype=np.int8))
    part = split_parts(THALAMUS, CORTEX, FEW)[0]
    without = type(part)(None, part.voxels, part.targets, surface, part.cortex, "key")
    assert without.voxel_places(np.ones(40, dtype=bool)) == {}
