"""Series of regions are taken out of volumes, dense series and surfaces."""

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

from thalgpu.engine.inputs.headers import read_header, volume_grid
from thalgpu.engine.inputs.images import extract
from thalgpu.engine.inputs.model import Grid, Region, Run, SurfaceGrid
from thalgpu.errors import InputError

SHAPE, N = (4, 5, 6), 12
AFFINE = np.diag([2.0, 2, 2, 1])


def region(grid: Grid, flat: list[int]) -> Region:
    return Region("mask.nii", grid, np.array(flat), np.zeros(len(flat), np.int8))


def bold(path: Path, values: np.ndarray) -> Path:
    image = nib.Nifti1Image(values, AFFINE)
    image.header.set_zooms((2, 2, 2, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)
    return path


def func_gii(path: Path, values: np.ndarray, encoding: str = "GIFTI_ENCODING_B64GZ") -> Path:
    arrays = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", encoding=encoding) for row in values]
    GiftiImage(darrays=arrays).to_filename(path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_voxels_of_two_regions_come_in_c_order(tmp_path, rng, suffix):
    values = rng.normal(size=(*SHAPE, N)).astype("f4")
    run = Run(bold(tmp_path / f"x{suffix}", values))
    grid = volume_grid(SHAPE, AFFINE)
    found = extract(run, (region(grid, [3, 50, 51]), region(grid, [0, 119])))
    by_voxel = values.reshape(-1, N)
    np.testing.assert_array_equal(found.series[0], by_voxel[[3, 50, 51]].T)
    np.testing.assert_array_equal(found.series[1], by_voxel[[0, 119]].T)
    assert (found.n_volumes, found.tr) == (N, 2.0)
    assert found.sha256 == {run.bold: hashlib.sha256(run.bold.read_bytes()).hexdigest()}


def test_scaled_integers_are_scaled(tmp_path, rng):
    image = nib.Nifti1Image(rng.normal(100, 10, (*SHAPE, N)), AFFINE)
    image.set_data_dtype(np.int16)
    image.header.set_zooms((2, 2, 2, 2.0))
    image.to_filename(tmp_path / "x.nii.gz")
    oracle = nib.load(tmp_path / "x.nii.gz").get_fdata().reshape(-1, N)[[7, 8]].T
    found = extract(Run(tmp_path / "x.nii.gz"), (region(volume_grid(SHAPE, AFFINE), [7, 8]),)).series[0]
    np.testing.assert_array_equal(found, oracle.astype("f4"))


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "i2"])
def test_grayordinates_come_in_column_order(tmp_path, rng, dtype):
    axis = BrainModelAxis.from_surface(np.arange(3000), 3000, name="CIFTI_STRUCTURE_CORTEX_LEFT")
    values = rng.integers(0, 99, (N, 3000)).astype(dtype)
    image = Cifti2Image(values, (SeriesAxis(0, 0.72, N), axis))
    image.nifti_header.set_data_dtype(np.dtype(dtype))
    image.to_filename(tmp_path / "x.dtseries.nii")
    columns = [0, 1, 2047, 2048, 2999]
    grid = read_header(tmp_path / "x.dtseries.nii").grid
    found = extract(Run(tmp_path / "x.dtseries.nii"), (region(grid, columns), region(grid, [5])))
    np.testing.assert_array_equal(found.series[0], values[:, columns])
    np.testing.assert_array_equal(found.series[1], values[:, [5]])
    assert found.tr == pytest.approx(0.72)


@pytest.mark.parametrize("encoding", ["ASCII", "B64BIN", "B64GZ"])
def test_vertices_come_left_then_right_and_the_tr_from_the_volume(tmp_path, rng, encoding):
    left, right = rng.normal(size=(N, 7)).astype("f4"), rng.normal(size=(N, 6)).astype("f4")
    code = f"GIFTI_ENCODING_{encoding}"
    surfaces = func_gii(tmp_path / "l.func.gii", left, code), func_gii(tmp_path / "r.func.gii", right, code)
    run = Run(bold(tmp_path / "x.nii", np.ones((*SHAPE, N), "f4")), surfaces)
    found = extract(run, (region(volume_grid(SHAPE, AFFINE), [0]), region(SurfaceGrid(7, 6), [1, 6, 7, 12])))
    expected = np.hstack([left, right])[:, [1, 6, 7, 12]]
    # ASCII GIFTI holds six decimals
    np.testing.assert_allclose(found.series[1], expected, atol=1e-6 if encoding == "ASCII" else 0)
    assert found.tr == 2.0
    assert list(found.sha256) == [run.bold, *surfaces]


def test_a_surface_in_one_array_of_all_volumes_is_read(tmp_path, rng):
    values = rng.normal(size=(N, 7)).astype("f4")
    pair = tuple(tmp_path / f"{side}.func.gii" for side in "lr")
    for path in pair:
        GiftiImage(darrays=[GiftiDataArray(np.ascontiguousarray(values.T))]).to_filename(path)
    run = Run(bold(tmp_path / "x.nii", np.ones((*SHAPE, N), "f4")), (pair[0], pair[1]))
    np.testing.assert_array_equal(extract(run, (region(SurfaceGrid(7, 7), [2, 9]),)).series[0], values[:, [2, 2]])


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_another_shape_or_affine_is_an_error_that_names_both(tmp_path):
    run = Run(bold(tmp_path / "x.nii", np.ones((*SHAPE, N), "f4")))
    for grid in (volume_grid((4, 5, 7), AFFINE), volume_grid(SHAPE, AFFINE + 0.01)):
        with pytest.raises(InputError, match=r"differs from that of mask\.nii: .*, not .*x\.nii"):
            extract(run, (region(grid, [0]),))


def test_trailing_axes_of_length_one_are_no_dimensions(tmp_path, rng):
    values = rng.normal(size=(*SHAPE, N, 1)).astype("f4")
    nib.Nifti1Image(values, AFFINE).to_filename(tmp_path / "x.nii")
    raw = bytearray((tmp_path / "x.nii").read_bytes())
    assert raw[40:42] == b"\x05\x00"  # nibabel has kept the fifth axis
    found = extract(Run(tmp_path / "x.nii"), (region(volume_grid(SHAPE, AFFINE), [7]),))
    np.testing.assert_array_equal(found.series[0][:, 0], values.reshape(-1, N)[7])


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_another_cifti_axis_is_an_error(tmp_path):
    axes = [BrainModelAxis.from_surface(np.arange(9), n, name="CIFTI_STRUCTURE_CORTEX_LEFT") for n in (9, 10)]
    grids = []
    for number, axis in enumerate(axes):
        path = tmp_path / f"{number}.dtseries.nii"
        Cifti2Image(np.ones((N, 9), "f4"), (SeriesAxis(0, 1, N), axis)).to_filename(path)
        grids.append(read_header(path).grid)
    with pytest.raises(InputError, match="grid differs"):
        extract(Run(tmp_path / "0.dtseries.nii"), (region(grids[1], [0]),))


@pytest.mark.fault("damaged scan, surface or confounds")
@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b'SurfaceNumberOfVertices="9"', b'SurfaceNumberOfVerticex="9"', "cannot be understood"),
        (b'SurfaceNumberOfVertices="9"', b'SurfaceNumberOfVertices="3"', "outside their surface"),
        (b'IndexCount="5"', b'IndexCount="7"', "cannot be understood"),
        (b'IndexCount="5"', b'IndexCount="5000000000000"', "more grayordinates"),
        (b'SeriesExponent="0"', b'SeriesExponent="999999999"', "exponent"),
        (b'NumberOfSeriesPoints="12"', b'NumberOfSeriesPoints="13"', "lengths"),
        (b'Version="2.0"', b'Version="1.0"', "cannot be understood"),
        (b"<CIFTI ", b'<!DOCTYPE a [<!ENTITY b "c">]><CIFTI ', "document type"),
        (b"<CIFTI ", b'<?xml version="1.0" encoding="TTF-8"?><CIFTI ', "damaged XML"),
    ],
    ids=str,
)
def test_a_lying_cifti_header_is_an_error(tmp_path, old, new, what):
    axis = BrainModelAxis.from_surface(np.arange(5), 9, name="CIFTI_STRUCTURE_CORTEX_LEFT")
    path = tmp_path / "x.dtseries.nii"
    Cifti2Image(np.ones((N, 5), "f4"), (SeriesAxis(0, 1, N), axis)).to_filename(path)
    content = path.read_bytes()
    assert content.count(old) == 1
    # The XML ends with padding, from which the extension gives what the change takes.
    start, end = content.index(b"<CIFTI"), content.index(b"</CIFTI>") + 8
    offset = int(np.frombuffer(content, "<i8", 1, 168)[0])
    changed = content[start:end].replace(old, new)
    size = 8 + len(changed)
    header = bytearray(content[:540])
    header[168:176] = np.int64(544 + size).tobytes()
    path.write_bytes(
        bytes(header) + content[540:544] + np.array([size, 32], "<i4").tobytes() + changed + content[offset:]
    )
    with pytest.raises(InputError, match=what):
        read_header(path)


def test_a_surface_region_without_surfaces_is_an_error(tmp_path):
    run = Run(bold(tmp_path / "x.nii", np.ones((*SHAPE, N), "f4")))
    with pytest.raises(InputError, match="lies on surfaces"):
        extract(run, (region(SurfaceGrid(7, 6), [0]),))


@pytest.mark.fault("wrong dimensions, grid, units or repetition time")
def test_surfaces_of_another_length_than_the_volume_are_an_error(tmp_path):
    pair = (
        func_gii(tmp_path / "l.func.gii", np.ones((13, 7), "f4")),
        func_gii(tmp_path / "r.gii", np.ones((13, 7), "f4")),
    )
    run = Run(bold(tmp_path / "x.nii", np.ones((*SHAPE, N), "f4")), pair)
    with pytest.raises(InputError, match="13 volumes"):
        extract(run, (region(SurfaceGrid(7, 7), [0]),))


@pytest.mark.fault("damaged scan, surface or confounds")
@pytest.mark.parametrize(
    ("attack", "what"),
    [
        ('<!DOCTYPE GIFTI [<!ENTITY a "b">]>', "document type"),
        ('ExternalFileName="/etc/passwd"', "external"),
        ("inflate", "do not end where"),
        ("base64", "damaged data"),
        ("attribute", "not understood"),
        ("dims", "claims the shape"),
        ("encoding", "damaged XML"),
        ("nowhere", "outside an array"),
    ],
)
def test_a_hostile_gifti_is_refused_before_it_is_decoded(tmp_path, attack, what):
    path = func_gii(tmp_path / "l.func.gii", np.ones((N, 7), "f4"))
    text = path.read_text()
    start = text.index("<GIFTI")
    changed = {
        "<!DOC": attack + text[start:],
        "Exter": text.replace('ExternalFileName=""', attack, 1),
        "infla": text.replace('Dim0="7"', 'Dim0="6"'),
        "base6": text.replace("<Data>", "<Data>*", 1),
        "attri": text.replace("LittleEndian", "MiddleEndian"),
        "encod": text.replace('encoding="UTF-8"', 'encoding="TTF-8"'),
        "nowhe": text.replace("<DataArray", "<DatbArray").replace("</DataArray", "</DatbArray"),
        "dims": text.replace('Dim0="7"', 'Dim0="99999999999"'),
    }[attack[:5]]
    assert changed != text
    path.write_text(changed)
    run = Run(bold(tmp_path / "x.nii", np.ones((*SHAPE, N), "f4")), (path, path))
    n_left = 6 if attack == "inflate" else 7
    with pytest.raises(InputError, match=what):
        extract(run, (region(SurfaceGrid(n_left, n_left), [0]),))
