"""Vertex-wise thickness and S1, in GIFTI, CIFTI and FreeSurfer's formats."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, LabelAxis, ScalarAxis

from thalgpu.engine.inputs.thickness_maps import read_s1_parcels, read_thickness_map, require_same_surface
from thalgpu.errors import InputError

N = 30
GLASSER = ["???", "L_1_ROI", "L_2_ROI", "L_3a_ROI", "L_3b_ROI", "R_1_ROI", "R_2_ROI", "R_3a_ROI", "R_3b_ROI", "L_4_ROI"]


def gifti(path: Path, *arrays: np.ndarray, structure: str = "CortexLeft", names: list[str] | None = None) -> Path:
    image = nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(array) for array in arrays])
    image.meta["AnatomicalStructurePrimary"] = structure
    for key, name in enumerate(names or []):
        label = nib.gifti.GiftiLabel(key)
        label.label = name
        image.labeltable.labels.append(label)
    nib.save(image, path)
    return path


def cifti(path: Path, rows: np.ndarray, names: list[str] | None = None) -> Path:
    """Both hemispheres of N vertices, of which the first two are medial wall."""
    cortex = [BrainModelAxis.from_surface(np.arange(2, N), N, name) for name in ("CORTEX_LEFT", "CORTEX_RIGHT")]
    table = {key: (name, (0, 0, 0, 1)) for key, name in enumerate(names or [])}
    maps = LabelAxis(["parcels"], table) if names else ScalarAxis([f"map {k}" for k in range(len(rows))])
    nib.save(nib.Cifti2Image(rows.astype(np.float32), (maps, cortex[0] + cortex[1])), path)
    return path


def test_thickness_of_a_gifti_with_nan_in_the_medial_wall(tmp_path: Path) -> None:
    values = np.linspace(1, 4, N, dtype=np.float32)
    values[:3] = np.nan
    found = read_thickness_map(gifti(tmp_path / "t.shape.gii", values), "left")
    assert np.array_equal(np.flatnonzero(~found.known), [0, 1, 2])
    assert np.array_equal(found.values, np.nan_to_num(values).astype(np.float64))


def test_each_hemisphere_of_a_cifti_map(tmp_path: Path) -> None:
    values = np.linspace(1, 4, 2 * (N - 2), dtype=np.float32)
    path = cifti(tmp_path / "t.dscalar.nii", values[None])
    for side, expected in (("left", values[: N - 2]), ("right", values[N - 2 :])):
        found = read_thickness_map(path, side)
        assert np.array_equal(found.values[2:], expected)
        assert found.known.tolist() == [False] * 2 + [True] * (N - 2)


def test_areas_of_glasser_in_a_dlabel_are_those_of_the_side(tmp_path: Path) -> None:
    labels = np.concatenate([np.arange(N - 2) % 5, np.arange(N - 2) % 4 + 5])
    path = cifti(tmp_path / "p.dlabel.nii", labels[None], GLASSER)
    left, right = (read_s1_parcels(path, side, "glasser") for side in ("left", "right"))
    assert list(left.masks) == ["S1", "area1", "area2", "area3a", "area3b"]
    assert np.array_equal(np.flatnonzero(left.masks["area3a"]), np.flatnonzero(labels[: N - 2] == 3) + 2)
    assert np.array_equal(np.flatnonzero(right.masks["area3b"]), np.flatnonzero(labels[N - 2 :] == 8) + 2)
    assert left.masks["S1"].sum() == (labels[: N - 2] > 0).sum()
    assert right.n_vertices == N


def test_areas_of_a_label_gifti(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(3), 10).astype(np.int32)
    path = gifti(tmp_path / "p.label.gii", labels, names=["???", "L_postcentral", "L_precentral"])
    assert np.flatnonzero(read_s1_parcels(path, "left", "aparc").masks["S1"]).tolist() == list(range(10, 20))
    with pytest.raises(InputError, match="no vertex of BA1"):
        read_s1_parcels(path, "left", "ba")


@pytest.mark.parametrize(
    ("arrays", "structure", "reason"),
    [
        ([np.ones(N)], "CortexRight", "is CortexRight by its own metadata"),
        ([np.ones(N), np.ones(N)], "", "2 maps where one is expected"),
        ([np.ones((N, 2))], "", "one value a vertex is expected"),
        ([np.zeros(N)], "", "no value but 0 and NaN"),
        ([np.full(N, np.nan)], "", "no value but 0 and NaN"),
        ([np.full(N, -2.0)], "", "are no thickness in mm"),
        ([np.full(N, 2400.0)], "", "are no thickness in mm"),
    ],
)
def test_maps_that_are_no_thickness_are_refused(tmp_path: Path, arrays, structure: str, reason: str) -> None:
    path = gifti(tmp_path / "t.shape.gii", *(array.astype(np.float32) for array in arrays), structure=structure)
    with pytest.raises(InputError, match=reason):
        read_thickness_map(path, "left")


def test_cifti_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    two = cifti(tmp_path / "two.dscalar.nii", np.ones((2, 2 * (N - 2))))
    with pytest.raises(InputError, match="2 maps where one is expected"):
        read_thickness_map(two, "left")
    with pytest.raises(InputError, match="no map of labels"):
        read_s1_parcels(two, "left", "glasser")
    volume = tmp_path / "t.nii"
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4)), volume)
    for read in (lambda: read_thickness_map(volume, "left"), lambda: read_s1_parcels(volume, "left", "aparc")):
        with pytest.raises(InputError, match="not a CIFTI file"):
            read()


def test_map_and_parcels_must_share_a_surface(tmp_path: Path) -> None:
    values = np.ones(N, dtype=np.float32)
    values[12] = np.nan
    labels = np.repeat(np.arange(3), 10).astype(np.int32)
    parcels = read_s1_parcels(gifti(tmp_path / "p.label.gii", labels, names=["?", "postcentral", "x"]), "left", "aparc")
    with pytest.raises(InputError, match="1 vertices of S1 have no thickness"):
        require_same_surface(read_thickness_map(gifti(tmp_path / "a.gii", values), "left"), parcels)
    with pytest.raises(InputError, match="31 vertices where"):
        require_same_surface(read_thickness_map(gifti(tmp_path / "b.gii", np.ones(N + 1, np.float32)), "left"), parcels)
