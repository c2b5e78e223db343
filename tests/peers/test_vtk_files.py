"""Meshes exchanged with VTK itself."""

from pathlib import Path

import numpy as np
import pytest

from thalgpu.engine.inputs.vtk_mesh import read_vtk
from thalgpu.engine.outputs.vtk_mesh import write_vtk

legacy = pytest.importorskip("vtkmodules.vtkIOLegacy", reason="needs VTK, which BrainSpace brings")
support = pytest.importorskip("vtkmodules.util.numpy_support", reason="needs VTK, which BrainSpace brings")

FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def polydata(path: Path):
    reader = legacy.vtkPolyDataReader()
    reader.SetFileName(str(path))
    reader.ReadAllScalarsOn()
    reader.Update()
    return reader.GetOutput()


def test_vtk_reads_what_is_written(tmp_path: Path, rng: np.random.Generator) -> None:
    points, values = rng.normal(scale=20, size=(4, 3)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    write_vtk(tmp_path / "mesh.vtk", points, FACES, {"displacement mm": values, "p": np.ones(4)})
    read = polydata(tmp_path / "mesh.vtk")
    assert np.array_equal(support.vtk_to_numpy(read.GetPoints().GetData()), points)
    assert np.array_equal(support.vtk_to_numpy(read.GetPolys().GetConnectivityArray()).reshape(-1, 3), FACES)
    assert np.array_equal(support.vtk_to_numpy(read.GetPointData().GetArray("displacement_mm")), values)
    assert read.GetPointData().GetNumberOfArrays() == 2


@pytest.mark.parametrize("version", [42, 51], ids=["4.2", "5.1"])
@pytest.mark.parametrize("binary", [False, True], ids=["ascii", "binary"])
def test_what_vtk_writes_is_read(tmp_path: Path, rng: np.random.Generator, version: int, binary: bool) -> None:
    points = rng.normal(scale=20, size=(4, 3)).astype(np.float32)
    write_vtk(tmp_path / "mesh.vtk", points, FACES, {"p": np.ones(4)})
    writer = legacy.vtkPolyDataWriter()
    writer.SetInputData(polydata(tmp_path / "mesh.vtk"))
    writer.SetFileName(str(tmp_path / "again.vtk"))
    writer.SetFileVersion(version)
    if binary:
        writer.SetFileTypeToBinary()
    assert writer.Write() == 1
    mesh = read_vtk(tmp_path / "again.vtk")
    np.testing.assert_allclose(mesh.coordinates, points, rtol=1e-5)  # VTK writes six digits as text
    assert np.array_equal(mesh.faces, FACES)
