"""Meshes that a displacement can be measured on."""

from pathlib import Path

from thalgpu.engine.inputs.gifti import Side
from thalgpu.engine.inputs.map_neighbours import Mesh
from thalgpu.engine.inputs.mesh_files import read_triangles
from thalgpu.engine.structure.mesh_geometry import outward_normals
from thalgpu.errors import InputError, NumericsError


def read_closed_mesh(path: Path, side: Side) -> Mesh:
    """A mesh whose every vertex has a normal, and which has an inside.

    Raises
    ------
    InputError
        As `read_triangles`, and for a mesh without volume, so that its owner is named before a mean shape needs it.
    """
    mesh = read_triangles(path, side)
    try:
        outward_normals(mesh.coordinates, mesh.faces)
    except NumericsError as error:
        raise InputError(path, error.what, remedy=error.remedy) from error
    return mesh
