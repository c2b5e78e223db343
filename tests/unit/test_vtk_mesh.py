"""Meshes of the thalamus in VTK's legacy format: read, found, and written."""

import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.inputs.mesh_files import find_meshes, read_triangles
from thalgpu.engine.inputs.vtk_mesh import read_vtk
from thalgpu.engine.outputs.vtk_mesh import write_vtk
from thalgpu.errors import InputError, NumericsError

POINTS = np.array([[0, 0, 0], [1.5, 0, 0], [0, 2.25, 0], [0, 0, -3]], dtype=np.float64)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
FIRST = """# vtk DataFile Version 3.0
Written by FIRST
ASCII
DATASET POLYDATA
POINTS 4 float
0 0 0
1.5 0 0
0 2.25 0
0 0 -3
POLYGONS 4 16
3 0 2 1
3 0 1 3
3 0 3 2
3 1 2 3
POINT_DATA 4
SCALARS x float 1
"""


@pytest.fixture
def vtk(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "mesh.vtk"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def binary(version: int) -> bytes:
    points = struct.pack(">12d", *POINTS.ravel())
    head = (
        f"# vtk DataFile Version {version}.1\nvtk output\nBINARY\nDATASET POLYDATA\nPOINTS 4 double\n".encode() + points
    )
    if version < 5:
        cells = np.column_stack([np.full(4, 3), FACES]).astype(">i4").tobytes()
        return head + b"\nPOLYGONS 4 16\n" + cells + b"\n"
    offsets, connectivity = np.arange(0, 13, 3).astype(">i8").tobytes(), FACES.astype(">i8").tobytes()
    head += b"\nMETADATA\nINFORMATION 0\n\nPOLYGONS 5 12\nOFFSETS vtktypeint64\n" + offsets
    return head + b"\nCONNECTIVITY vtktypeint64\n" + connectivity + b"\n"


@pytest.mark.parametrize("content", [FIRST, binary(4), binary(5)], ids=["FIRST", "binary", "binary 5.1"])
def test_points_and_triangles_of_every_encoding(vtk: Callable[..., Path], content: str | bytes) -> None:
    mesh = read_vtk(vtk(content))
    assert np.array_equal(mesh.coordinates, POINTS)
    assert np.array_equal(mesh.faces, FACES)
    assert len(mesh.sha256) == 64


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("# vtk", "# stl", "not a legacy VTK file"),
        ("ASCII", "UTF", "'UTF' where ASCII or BINARY"),
        ("POLYDATA", "STRUCTURED_POINTS", "no DATASET POLYDATA"),
        ("POINTS 4 ", "POINTS 99999999999 ", "299999999997 numbers are claimed, more than"),
        ("POINTS 4 ", "POINTS -4 ", "'-4' is no count"),
        ("POINTS 4 ", "POINTS 5 ", "text among the numbers"),
        ("POINTS 4 float", "POINTS 4 bit", "points of type 'bit'"),
        ("2.25", "nan", "coordinates that are NaN or Inf"),
        ("2.25", "1e999", "coordinates that are NaN or Inf"),
        ("2.25", "1_0", "text among the numbers"),
        ("2.25", "9" * 100, "text among the numbers"),
        ("POLYGONS 4 16", "POLYGONS 4 99999999999", "99999999999 numbers are claimed"),
        ("POLYGONS 4 16", "POLYGONS 5 16", "polygons that are no triangles"),
        ("3 0 2 1", "4 0 2 1", "polygons that are no triangles"),
        ("3 0 2 1", "3 0 4 1", "triangles of other vertices than its 4"),
        ("3 0 2 1", "3 0 -2 1", "triangles of other vertices than its 4"),
        ("3 0 2 1", "3 0 2 2", "triangle 0 has one vertex twice"),
        ("3 0 2 1", "3 0 2 1.5", "vertex numbers that are not whole"),
        ("POLYGONS", "LINES", "'LINES' where the section POLYGONS is expected"),
    ],
)
def test_a_damaged_mesh_is_refused(vtk: Callable[..., Path], old: str, new: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_vtk(vtk(FIRST.replace(old, new, 1)))


def test_a_mesh_of_either_format_is_told_by_its_content(vtk: Callable[..., Path], tmp_path: Path) -> None:
    surface = tmp_path / "mesh.surf.gii"
    arrays = [
        nib.gifti.GiftiDataArray(POINTS.astype(np.float32), intent="NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(FACES.astype(np.int32), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    arrays[0].meta["AnatomicalStructurePrimary"] = "ThalamusLeft"
    nib.save(nib.gifti.GiftiImage(darrays=arrays), surface)
    one, other = read_triangles(vtk(FIRST), "left"), read_triangles(surface, "left")
    assert np.array_equal(one.coordinates, other.coordinates)
    assert np.array_equal(one.faces, other.faces)
    with pytest.raises(InputError, match="by its own metadata"):
        read_triangles(surface, "right")


@pytest.mark.parametrize(
    "name",
    [
        "sub-01-{}_Thal_first.vtk",
        "sub-01_{}_Thal_first.vtk",
        "01-{}_Thal_first.vtk",
        "sub-01_T1w-{}_Thal_first.vtk",
        "sub-01/T1-{}_Thal_first.vtk",
        "01/first/struct_{}_Thal_first.vtk",
        "sub-01/anat/sub-01_hemi-{}_seg-thalamus.surf.gii",
        "sub-01_ses-1_hemi-{}_space-MNI_label-Thalamus_mesh.surf.gii",
    ],
)
def test_meshes_are_found_by_every_naming(tmp_path: Path, name: str) -> None:
    for person in ("01", "010", "1"):
        for side in "LR":
            path = tmp_path / name.format(side).replace("01", person)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert find_meshes(tmp_path, "01") == {
        "left": tmp_path / name.format("L"), "right": tmp_path / name.format("R")
    }  # fmt: skip


def test_two_meshes_of_one_side_are_refused(tmp_path: Path) -> None:
    for name in ("sub-01_ses-1-L_Thal_first.vtk", "sub-01_ses-2-L_Thal_first.vtk"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="2 meshes of the left thalamus of sub-01"):
        find_meshes(tmp_path, "01")


def test_a_written_mesh_reads_back_and_has_the_same_bytes_again(tmp_path: Path, rng: np.random.Generator) -> None:
    points = rng.normal(scale=30, size=(4, 3)).astype(np.float32)
    path, again = tmp_path / "a.vtk", tmp_path / "b.vtk"
    for file in (path, again):
        write_vtk(file, points, FACES, {"mean displacement": [0.1, -0.2, 0.3, 1e-9], "p": np.ones(4)})
    assert path.read_bytes() == again.read_bytes()
    mesh = read_vtk(path)
    assert np.array_equal(mesh.coordinates.astype(np.float32), points)
    assert np.array_equal(mesh.faces, FACES)
    scalars = path.read_text().split("SCALARS mean_displacement float 1\nLOOKUP_TABLE default\n")[1].split("\n")
    assert scalars[:5] == ["0.1", "-0.2", "0.3", "1e-09", "SCALARS p float 1"]


def test_a_mesh_without_scalars_has_no_point_data(tmp_path: Path) -> None:
    write_vtk(tmp_path / "a.vtk", POINTS, FACES)
    assert "POINT_DATA" not in (tmp_path / "a.vtk").read_text()


@pytest.mark.parametrize(
    ("points", "faces", "scalars"),
    [
        (POINTS * np.nan, FACES, {}),
        (POINTS, FACES + 1, {}),
        (POINTS, FACES, {"a": [1, 2, 3]}),
        (POINTS, FACES, {"a": [1, 2, 3, np.inf]}),
        (POINTS[:, :2], FACES, {}),
    ],
)
def test_a_mesh_that_is_none_is_not_written(tmp_path: Path, points, faces, scalars) -> None:
    with pytest.raises(NumericsError):
        write_vtk(tmp_path / "a.vtk", points, faces, scalars)
    assert not (tmp_path / "a.vtk").exists()
