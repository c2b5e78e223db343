"""What `thalgpu gradients` writes is what a permutation test reads."""

import h5py
import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.inputs.map_neighbours import neighbours_of
from thalgpu.engine.inputs.subject_maps import settle_all
from thalgpu.engine.outputs.stat_maps import stat_map_stem, write_stat_map
from thalgpu.engine.pipelines.subject_maps import read_subject_maps
from thalgpu.errors import ThalgpuWarning


@pytest.fixture(scope="module")
def out(tmp_path_factory, thalgpu, inputs):
    folder = tmp_path_factory.mktemp("gradients") / "out"
    done = thalgpu("gradients", *inputs, "--out", folder, "--workers", 1)
    assert done.exit_code == 0, done.err
    return folder


def test_a_folders_components_are_the_subjects_aligned_gradients(out):
    first, third = settle_all(read_subject_maps([out], components=(1, 3)))
    assert first.ids == third.ids == ("01", "02", "03", "04")
    for row, label in enumerate(first.ids):
        with h5py.File(out / f"sub-{label}/func/sub-{label}_seg-thalamus_desc-aligned_gradients.h5") as file:
            assert file["covered"][:].all()
            assert np.array_equal(first.values[row], file["aligned"][:, 0].astype(np.float64))
            assert np.array_equal(third.values[row], file["aligned"][:, 2].astype(np.float64))


def test_the_folder_and_the_maps_in_it_are_the_same(out, cohort):
    files = sorted(out.glob("sub-*/func/*_stat-gradients_boldmap.nii.gz"))
    (by_folder,) = settle_all(read_subject_maps([out], components=(2,)))
    (by_files,) = settle_all(read_subject_maps(files, components=(2,), mask=str(cohort / "thalamus.nii.gz")))
    assert by_files.ids == by_folder.ids
    assert np.array_equal(by_files.values, by_folder.values)
    assert np.array_equal(by_files.space.flat, by_folder.space.flat)


def test_a_map_of_the_group_lies_on_the_thalamus(out, cohort, tmp_path):
    (maps,) = settle_all(read_subject_maps([out]))
    about = {"Description": "mean"}
    path, _ = write_stat_map(stat_map_stem(tmp_path, "mean", "t"), maps.values.mean(0), maps.space, "t", about=about)
    image, mask = nib.load(path), nib.load(cohort / "thalamus.nii.gz")
    assert np.allclose(image.affine, mask.affine)
    assert np.array_equal(image.get_fdata() != 0, mask.get_fdata() > 0)
    assert len(neighbours_of(maps.space, 6).sizes) == np.count_nonzero(mask.get_fdata())


def test_hemispheres_apart_are_two_measures(tmp_path, thalgpu, inputs):
    done = thalgpu("gradients", *inputs, "--out", tmp_path, "--workers", 1, "--hemisphere", "separate")
    assert done.exit_code == 0, done.err
    left, right = settle_all(read_subject_maps([tmp_path]))
    assert (left.name, right.name) == ("hemi-L", "hemi-R")
    assert left.ids == right.ids
    assert (left.space.xyz[:, 0] < 0).all()
    assert (right.space.xyz[:, 0] > 0).all()


def test_gradients_that_were_not_aligned_are_read_with_a_warning(tmp_path, thalgpu, inputs):
    done = thalgpu("gradients", *inputs, "--out", tmp_path, "--workers", 1, "--alignment", "none")
    assert done.exit_code == 0, done.err
    with pytest.warns(ThalgpuWarning, match="--alignment none"):
        settle_all(read_subject_maps([tmp_path]))
