"""The thalamus in label images."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.inputs.thalamus_labels import read_thalamus_labels
from thalgpu.errors import InputError

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 1.5, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])


@pytest.fixture
def labels() -> np.ndarray:
    values = np.zeros((8, 9, 10), dtype=np.int16)
    values[1:3, 2:5, 3:6], values[5:7, 2:5, 3:5], values[0] = 10, 49, 11
    return values


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    kind = nib.MGHImage if path.suffix in (".mgz", ".mgh") else nib.Nifti1Image
    nib.save(kind(values, affine), path)
    return path


@pytest.mark.parametrize("name", ["sub-01_all_fast_firstseg.nii.gz", "aseg.mgz", "aseg.nii"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_masks_and_volumes_of_every_kind(tmp_path: Path, labels: np.ndarray, name: str, dtype) -> None:
    found = read_thalamus_labels(save(tmp_path / name, labels.astype(dtype)))
    assert found.volumes == pytest.approx({"left": 18 * 3.0, "right": 12 * 3.0}, rel=1e-12)
    assert np.array_equal(found.masks["left"], labels == 10)
    assert np.array_equal(found.masks["right"], labels == 49)
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)  # MGH keeps the centre in float32
    assert len(found.sha256) == 64


@pytest.mark.parametrize(
    ("change", "affine", "reason"),
    [
        (lambda v: np.where(v == 49, 0, v), AFFINE, "no voxel of label 49, the right thalamus"),
        (lambda v: v[..., None].repeat(2, axis=3), AFFINE, "4 dimensions where a label image has 3"),
        (lambda v: v, np.diag([50.0, 50, 50, 1]), "a left thalamus of 2.25e\\+06 mm³"),
    ],
)
def test_images_that_are_no_segmentation_are_refused(tmp_path: Path, labels, change, affine, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_thalamus_labels(save(tmp_path / "aseg.nii.gz", change(labels), affine))


def test_a_header_without_belief_is_refused(tmp_path: Path, labels: np.ndarray) -> None:
    path = save(tmp_path / "aseg.mgh", labels)
    content = bytearray(path.read_bytes())
    content[30:34] = np.array([np.nan], ">f4").tobytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match="geometry is not finite"):
        read_thalamus_labels(path)
    content[4:8] = (2**31 - 1).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(InputError, match="more than the rest of the file holds"):
        read_thalamus_labels(path)
