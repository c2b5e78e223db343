"""Headers of functional images: grid, length and repetition time."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

from thalgpu.engine.inputs.headers import (
    read_header,
    read_surface_header,
    repetition_time,
    require_same_grid,
    same_grid,
    volume_grid,
)
from thalgpu.engine.inputs.model import CiftiGrid, SurfaceGrid, VolumeGrid
from thalgpu.errors import InputError


def volume(path: Path, shape: tuple[int, ...], tr: float = 2.0, unit: str = "sec") -> Path:
    image = nib.Nifti1Image(np.zeros(shape, "f4"), np.diag([2.0, 2, 2, 1]))
    image.header["pixdim"][4] = tr
    image.header.set_xyzt_units("mm", unit)
    image.to_filename(path)
    return path


def brain_models() -> BrainModelAxis:
    mask = np.zeros((4, 4, 4), bool)
    mask[1, 1, :3] = True
    surface = BrainModelAxis.from_surface(np.arange(5), 9, name="CIFTI_STRUCTURE_CORTEX_LEFT")
    return surface + BrainModelAxis.from_mask(mask, affine=np.eye(4), name="CIFTI_STRUCTURE_THALAMUS_LEFT")


def dtseries(path: Path, step: float = 0.72, unit: str = "SECOND", n: int = 12) -> Path:
    Cifti2Image(np.zeros((n, 8), "f4"), (SeriesAxis(0, step, n, unit), brain_models())).to_filename(path)
    return path


def func_gii(path: Path, n_vertices: int, n: int = 12) -> Path:
    GiftiImage(darrays=[GiftiDataArray(np.zeros(n_vertices, "f4")) for _ in range(n)]).to_filename(path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_volume_header_gives_grid_length_tr_and_size(tmp_path, suffix):
    header = read_header(volume(tmp_path / f"x{suffix}", (3, 4, 5, 12)))
    assert header.grid == volume_grid((3, 4, 5), np.diag([2.0, 2, 2, 1]))
    assert (header.n_timepoints, header.tr, header.bytes) == (12, 2.0, 3 * 4 * 5 * 12 * 4)


@pytest.mark.parametrize(("stored", "unit", "seconds"), [(720, "msec", 0.72), (2e6, "usec", 2), (2, "unknown", 2)])
def test_the_unit_of_the_repetition_time_is_honoured(tmp_path, stored, unit, seconds):
    assert read_header(volume(tmp_path / "x.nii", (2, 2, 2, 12), stored, unit)).tr == pytest.approx(seconds, rel=1e-6)


@pytest.mark.parametrize(("stored", "unit"), [(0, "sec"), (np.nan, "sec"), (-2, "sec"), (2, "hz")])
def test_an_absent_repetition_time_is_none(tmp_path, stored, unit):
    assert read_header(volume(tmp_path / "x.nii", (2, 2, 2, 12), stored, unit)).tr is None


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
@pytest.mark.parametrize("tr", [None, 0, 2000, 1e-4, float("nan")])
def test_an_absent_or_incredible_repetition_time_is_refused_and_tr_named_as_remedy(tr):
    with pytest.raises(InputError, match="--tr"):
        repetition_time(Path("x.nii"), tr, None)


def test_a_given_repetition_time_overrides_the_header():
    assert repetition_time(Path("x.nii"), None, 0.8) == 0.8
    assert repetition_time(Path("x.nii"), 2.0, 0.8) == 0.8


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_a_single_volume_is_refused(tmp_path):
    with pytest.raises(InputError, match="3-D volume"):
        read_header(volume(tmp_path / "x.nii", (3, 4, 5)))


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_too_few_volumes_are_refused(tmp_path):
    with pytest.raises(InputError, match="9 volumes"):
        read_header(volume(tmp_path / "x.nii", (3, 4, 5, 9)))


def test_a_dtseries_header_gives_axis_length_and_tr(tmp_path):
    header = read_header(dtseries(tmp_path / "x.dtseries.nii"))
    assert isinstance(header.grid, CiftiGrid)
    assert header.grid == CiftiGrid(8, brain_models())
    assert (header.n_timepoints, header.bytes) == (12, 8 * 12 * 4)
    assert header.tr == pytest.approx(0.72)


def test_a_series_that_is_not_in_seconds_has_no_repetition_time(tmp_path):
    assert read_header(dtseries(tmp_path / "x.dtseries.nii", unit="HERTZ")).tr is None


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_a_cifti_of_scalars_is_no_time_series(tmp_path):
    Cifti2Image(np.zeros((12, 8), "f4"), (ScalarAxis([str(i) for i in range(12)]), brain_models())).to_filename(
        tmp_path / "x.dscalar.nii"
    )
    with pytest.raises(InputError, match="not a dense time series"):
        read_header(tmp_path / "x.dscalar.nii")


def test_a_surface_pair_gives_both_counts(tmp_path):
    pair = func_gii(tmp_path / "l.func.gii", 7), func_gii(tmp_path / "r.func.gii", 6)
    header = read_surface_header(pair)
    assert (header.grid, header.n_timepoints, header.tr) == (SurfaceGrid(7, 6), 12, None)


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_surfaces_of_different_length_are_refused(tmp_path):
    pair = func_gii(tmp_path / "l.func.gii", 7), func_gii(tmp_path / "r.func.gii", 6, n=13)
    with pytest.raises(InputError, match="13 volumes"):
        read_surface_header(pair)


def test_grids_agree_within_a_thousandth_of_a_millimetre():
    affine = np.diag([2.0, 2, 2, 1])
    grid = volume_grid((3, 4, 5), affine)
    assert same_grid(grid, volume_grid((3, 4, 5), affine + 9e-4))
    assert not same_grid(grid, volume_grid((3, 4, 5), affine + 2e-3))
    assert not same_grid(grid, volume_grid((3, 4, 6), affine))
    assert not same_grid(grid, SurfaceGrid(3, 4))
    assert isinstance(grid, VolumeGrid)


ROTATED = np.array([[1.6, -1.2, 0, -8], [1.2, 1.6, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]])


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
@pytest.mark.parametrize(
    ("shape", "affine", "words"),
    [
        ((3, 4, 6), None, "shape (3, 4, 6), not (3, 4, 5)"),
        (
            (3, 4, 6),
            np.diag([3.0, 3, 3, 1]),
            "shape (3, 4, 6), not (3, 4, 5); voxels of 3 × 3 × 3 mm, not 2 × 2 × 2 mm",
        ),
        ((3, 4, 5), np.diag([-2.0, 2, 2, 1]), "axes point to LAS, not RAS"),
        ((3, 4, 5), ROTATED, "axes of another direction (rotated or sheared)"),
        (
            (3, 4, 5),
            [[2, 0, 0, -8], [0, 2, 0, 0], [0, 0, 2, 0.5], [0, 0, 0, 1]],
            "first voxel at (-8, 0, 0.5) mm, not (0, 0, 0) mm",
        ),
    ],
)
def test_a_difference_of_grids_is_said_in_words(shape, affine, words):
    expected = volume_grid((3, 4, 5), np.diag([2.0, 2, 2, 1]))
    found = volume_grid(shape, np.diag([2.0, 2, 2, 1]) if affine is None else np.array(affine, float))
    with pytest.raises(InputError) as caught:
        require_same_grid(Path("x.nii"), found, expected, owner="the scans")
    assert caught.value.reason == f"its grid differs from that of the scans: {words}"


def test_a_cifti_header_without_spatial_fields_is_read_as_workbench_writes_it(tmp_path):
    path = dtseries(tmp_path / "rest.dtseries.nii")
    content = bytearray(path.read_bytes())
    pixdim = slice(104, 168)  # eight float64 of a NIfTI-2 header
    content[pixdim] = bytes(64)
    path.write_bytes(content)
    assert read_header(path).n_timepoints == 12
