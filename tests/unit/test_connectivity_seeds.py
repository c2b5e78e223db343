"""Which seeds a run has: thalamus, nuclei and named regions, whole and by hemisphere; and how a page shows them."""

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.inputs.model import LEFT, MIDLINE, RIGHT, Region, VolumeGrid
from thalgpu.engine.pipelines.connectivity_seeds import find_seeds, parse_seed
from thalgpu.engine.report.connectivity import ConnectivityPage, render_connectivity
from thalgpu.errors import InputError, ThalgpuWarning, UsageError

GRID = VolumeGrid((4, 4, 4), ((2.0, 0, 0, -3.0), (0, 2.0, 0, 0), (0, 0, 2.0, 0), (0, 0, 0, 1.0)))


def region(flat, sides=None, **parcels):
    flat = np.asarray(flat, dtype=np.int64)
    sides = [LEFT if place < 32 else RIGHT for place in flat] if sides is None else sides
    return Region("mask.nii", GRID, flat, np.asarray(sides, dtype=np.int8), **parcels)


def atlas(flat, parcel, names):
    sides = np.zeros(len(names), dtype=np.int8)
    return region(flat, parcel=np.asarray(parcel, dtype=np.int32), names=names, parcel_hemisphere=sides)


THALAMUS, CORTEX = region([10, 11, 12, 50, 51, 52]), region([0, 1, 62, 63])


def members(seeds, name):
    """Elements of one seed."""
    for layer in seeds.layers:
        if name in layer.names:
            return layer.flat[layer.parcel == layer.names.index(name)].tolist()
    raise AssertionError(f"no seed {name}")


def test_thalamus_comes_whole_and_by_half():
    seeds = find_seeds(THALAMUS, CORTEX, nuclei=None, named=())
    assert seeds.names == ("thalamus", "thalamusL", "thalamusR")
    assert members(seeds, "thalamus") == [10, 11, 12, 50, 51, 52]
    assert members(seeds, "thalamusR") == [50, 51, 52]


def test_one_sided_thalamus_has_no_halves():
    assert find_seeds(region([10, 11, 12]), CORTEX, nuclei=None, named=()).names == ("thalamus",)


def test_midline_belongs_to_the_whole_and_to_no_half():
    seeds = find_seeds(region([10, 30, 50], [LEFT, MIDLINE, RIGHT]), CORTEX, nuclei=None, named=())
    assert members(seeds, "thalamus") == [10, 30, 50]
    assert members(seeds, "thalamusL") + members(seeds, "thalamusR") == [10, 50]


def test_nuclei_count_as_far_as_they_lie_in_the_thalamus():
    nuclei = atlas([9, 10, 50, 51], [0, 0, 0, 1], ("VP-L", "2"))
    seeds = find_seeds(THALAMUS, CORTEX, nuclei=nuclei, named=())
    assert seeds.names[3:] == ("VPL", "nucleus2", "VPLL", "VPLR")
    assert members(seeds, "VPL") == [10, 50]


def test_labels_of_one_name_are_one_nucleus():
    nuclei = atlas([10, 11, 50], [0, 1, 2], ("MD", "VL", "MD"))
    seeds = find_seeds(THALAMUS, CORTEX, nuclei=nuclei, named=())
    assert seeds.names[3:] == ("MD", "VL", "MDL", "MDR")
    assert members(seeds, "MD") == [10, 50]


def test_names_that_letters_and_digits_cannot_tell_apart_are_an_error():
    with pytest.raises(InputError, match="V L and V-L"):
        find_seeds(THALAMUS, CORTEX, nuclei=atlas([10, 11], [0, 1], ("V-L", "V L")), named=())


def test_nucleus_outside_the_thalamus_is_told_and_is_no_seed():
    with pytest.warns(ThalgpuWarning, match="no voxel of the thalamus lies in LGN"):
        seeds = find_seeds(THALAMUS, CORTEX, nuclei=atlas([10, 33], [0, 1], ("MD", "LGN")), named=())
    assert "LGN" not in seeds.names


def test_named_seed_joins_its_labels(tmp_path):
    labels = np.zeros(GRID.shape, dtype="i2")
    labels.ravel()[[0, 1, 62]] = 1, 2, 3
    nib.save(nib.Nifti1Image(labels, np.array(GRID.affine)), tmp_path / "s1.nii")
    seeds = find_seeds(
        THALAMUS, CORTEX, nuclei=None, named=[("S1", f"{tmp_path / 's1.nii'}:1,2"), ("all", str(tmp_path / "s1.nii"))]
    )
    assert seeds.names[3:] == ("S1", "all", "allL", "allR")
    assert members(seeds, "S1") == [0, 1]
    assert members(seeds, "allR") == [62]


def test_seed_on_another_grid_is_an_error_that_names_both(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((5, 4, 4), "i2"), np.array(GRID.affine)), tmp_path / "s1.nii")
    with pytest.raises(InputError, match=r"shape \(5, 4, 4\), not \(4, 4, 4\)"):
        find_seeds(THALAMUS, CORTEX, nuclei=None, named=[("S1", str(tmp_path / "s1.nii"))])


def test_two_seeds_of_one_name_are_an_error(tmp_path):
    nib.save(nib.Nifti1Image(np.ones(GRID.shape, "i2"), np.array(GRID.affine)), tmp_path / "s.nii")
    with pytest.raises(UsageError, match="two seeds are called thalamusR"):
        find_seeds(THALAMUS, CORTEX, nuclei=None, named=[("thalamusR", str(tmp_path / "s.nii"))])


@pytest.mark.parametrize("text", ["S1", "=x.nii", "S1=", "S-1=x.nii", "1S=x.nii", "../S1=x.nii"])
def test_seed_that_cannot_be_understood_is_an_error(text):
    with pytest.raises(UsageError, match="NAME=FILE"):
        parse_seed(text)


def test_file_of_a_seed_may_have_an_equals_sign():
    assert parse_seed("S1=a=b.nii:1,2") == ("S1", "a=b.nii:1,2")


def test_page_escapes_what_users_wrote_and_shows_no_picture_of_nothing():
    evil = "<script>alert(1)</script>"
    page = ConnectivityPage(
        version="0",
        facts=(("list", evil),),
        options=(("seed", evil),),
        maps=(),
        rows=("thalamus",),
        columns=("thalamus",),
        matrix=np.full((1, 1), np.nan),
        table_columns=("subject",),
        table=((evil,),),
        likeness=np.array([np.nan]),
        failures=((evil, evil),),
        warnings=(evil,),
    )
    text = render_connectivity(page)
    assert "<script" not in text
    assert "<img" not in text
    assert "No picture" in text
