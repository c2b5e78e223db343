"""Paths of outputs."""

from pathlib import Path

import pytest

from thalgpu.engine.inputs.model import CiftiGrid, SurfaceGrid
from thalgpu.engine.outputs.names import group_paths, subject_paths

OUT = Path("out")
FUNC = "out/sub-01/func"


def test_a_subjects_outputs_are_called_as_documented() -> None:
    paths = subject_paths(OUT, "01")
    assert str(paths.maps) == f"{FUNC}/sub-01_seg-thalamus_stat-gradients_boldmap.nii.gz"
    assert str(paths.sidecar) == f"{FUNC}/sub-01_seg-thalamus_stat-gradients_boldmap.json"
    assert str(paths.record) == f"{FUNC}/sub-01_seg-thalamus_gradients.h5"
    assert str(paths.aligned) == f"{FUNC}/sub-01_seg-thalamus_desc-aligned_gradients.h5"


def test_the_groups_outputs_are_called_as_documented() -> None:
    paths = group_paths(OUT)
    assert str(paths.maps) == "out/group/seg-thalamus_desc-template_stat-gradients_boldmap.nii.gz"
    assert str(paths.record) == "out/group/gradients.h5"
    assert str(paths.summary) == "out/group/summary.tsv"


def test_the_hemisphere_stands_before_the_segmentation() -> None:
    subject, group = subject_paths(OUT, "01", "L"), group_paths(OUT, "R")
    assert subject.maps.name == "sub-01_hemi-L_seg-thalamus_stat-gradients_boldmap.nii.gz"
    assert subject.record.name == "sub-01_hemi-L_seg-thalamus_gradients.h5"
    assert group.maps.name == "hemi-R_seg-thalamus_desc-template_stat-gradients_boldmap.nii.gz"
    assert group.record.name == "hemi-R_gradients.h5"


def test_cifti_maps_are_dscalar() -> None:
    grid = CiftiGrid(10, None)
    assert subject_paths(OUT, "01", None, grid).maps.name.endswith("_boldmap.dscalar.nii")
    assert group_paths(OUT, None, grid).maps.name.endswith("_boldmap.dscalar.nii")


def test_projections_onto_surfaces_are_a_pair() -> None:
    surfaces = SurfaceGrid(10, 10)
    both = subject_paths(OUT, "01", target_grid=surfaces).projections
    assert [path.name for path in both] == [
        "sub-01_hemi-L_seg-thalamus_stat-projections_boldmap.func.gii",
        "sub-01_hemi-R_seg-thalamus_stat-projections_boldmap.func.gii",
    ]
    of_right = subject_paths(OUT, "01", "R", target_grid=surfaces).projections
    assert of_right[0].name == "sub-01_hemi-L_seg-thalamusR_stat-projections_boldmap.func.gii"


def test_no_two_outputs_share_a_path() -> None:
    every = []
    for target_grid in (None, SurfaceGrid(1, 1)):
        for hemisphere in (None, "L", "R"):
            paths = subject_paths(OUT, "01", hemisphere, target_grid=target_grid)
            every += [paths.maps, paths.sidecar, paths.record, paths.aligned] if target_grid is None else []
            every += paths.projections
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("participant_id", ["", "..", "a/b", "<script>", "01 "])
def test_a_label_that_is_no_label_makes_no_path(participant_id: str) -> None:
    with pytest.raises(ValueError, match="letters and digits"):
        subject_paths(OUT, participant_id)
