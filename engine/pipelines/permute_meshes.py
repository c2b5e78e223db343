"""Where the features of surface maps lie, by the meshes that a user gives."""

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.map_neighbours import mesh_files, read_mesh
from thalgpu.engine.inputs.model import Region
from thalgpu.engine.report.permute_page import Mesh, meshes_of


def meshes_under(space: Region | None, surface: str | None) -> tuple[Mesh, ...]:
    """The meshes `FILE` or `LEFT,RIGHT` with the features on them; none for voxels, arrays, and where none is given."""
    files = mesh_files(surface)
    if space is None or space.ijk is not None or not files:
        return ()
    read = [read_mesh(path) for path in files]
    return meshes_of(space, [(mesh.coordinates, mesh.faces) for mesh in read])


def feature_coordinates(space: Region, surface: str | None) -> NDArray[np.float64] | None:
    """(n_features, 3) mm, of voxels or of vertices on their mesh; None where no mesh says it."""
    if space.xyz is not None:
        return space.xyz
    meshes = meshes_under(space, surface)
    if not meshes:
        return None
    coordinates = np.empty((len(space.flat), 3))
    for mesh in meshes:
        there = mesh.features >= 0
        coordinates[mesh.features[there]] = mesh.coordinates[there]
    return coordinates
