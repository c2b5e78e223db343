"""Which features of subjects' maps touch each other: voxels on the grid, vertices on the mesh of their surface."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.adjacency import joined, mesh_neighbours, subset, volume_neighbours
from thalgpu.engine.inference.model import Neighbours
from thalgpu.engine.inputs.gifti import Side, read_gifti, require_side
from thalgpu.engine.inputs.model import CiftiGrid, Region, SurfaceGrid
from thalgpu.errors import InputError

_SIDES: tuple[Side, ...] = ("left", "right")
_Vertices: TypeAlias = dict[Side, tuple[NDArray[np.int64], int]]
"""Side → vertices that are features, and how many the surface has."""

_GIVE_MESHES = "give --surface LEFT.surf.gii,RIGHT.surf.gii"


@dataclass(frozen=True)
class Mesh:
    """Triangles of a surface: `faces` (n_faces, 3) vertex numbers, `coordinates` (n_vertices, 3) in mm."""

    path: Path
    faces: NDArray[np.int64]
    coordinates: NDArray[np.float64]
    structure: str
    sha256: str = ""


def mesh_files(text: str | None) -> tuple[Path, ...]:
    """The files of `FILE` or `LEFT,RIGHT`; none for None."""
    return () if text is None else tuple(Path(part) for part in text.split(","))


def read_mesh(path: Path) -> Mesh:
    """A `.surf.gii`: its points and its triangles; InputError when it has not one of each, or they do not fit."""
    image = read_gifti(path)
    found = {}
    for name in ("POINTSET", "TRIANGLE"):
        arrays = [a for a, intent in zip(image.arrays, image.intents, strict=True) if intent.endswith(name)]
        if len(arrays) != 1 or arrays[0].ndim != 2 or arrays[0].shape[1] != 3:
            reason = f"{len(arrays)} arrays of intent {name} where a mesh has one of three columns"
            raise InputError(path, reason, remedy="give a .surf.gii file")
        found[name] = arrays[0]
    with np.errstate(invalid="ignore"):  # a signalling NaN, refused below as any other
        points, triangles = found["POINTSET"].astype(np.float64), found["TRIANGLE"]
    if not np.isfinite(points).all():
        raise InputError(path, "coordinates that are NaN or Inf", at="POINTSET", remedy="write the mesh again")
    if triangles.dtype.kind not in "iu" or triangles.min() < 0 or triangles.max() >= len(points):
        raise InputError(path, f"triangles of other vertices than its {len(points)}", at="TRIANGLE")
    return Mesh(path, triangles.astype(np.int64), points, image.structure, image.sha256)


def neighbours_of(
    space: Region | None, connectivity: int = 6, surfaces: Sequence[Path] = (), *, areas: bool = False
) -> Neighbours | None:
    """Neighbours of the features of subjects' maps, in their order.

    Parameters
    ----------
    space : as of `SubjectMaps`; None, that of arrays and tables, has no neighbours.
    connectivity : 6, 18 or 26 neighbours of a voxel.
    surfaces : mesh of each hemisphere that has features, left first.
    areas : whether vertices count by their mm², as in PALM, instead of as 1.

    Returns
    -------
    All voxels of a CIFTI file are one volume: structures that touch are neighbours.

    Raises
    ------
    InputError
        For missing, unsound, exchanged or left over meshes, a mesh with another number of vertices, and vertices and
        voxels in one map, whose extents are not comparable.
    NumericsError
        For another connectivity.
    """
    if space is None:
        return None
    if space.ijk is not None:
        if surfaces:
            raise InputError(
                surfaces[0], "the maps are made of voxels, no mesh is needed", remedy="leave out --surface"
            )
        return volume_neighbours(space.ijk, connectivity)
    grid = space.grid
    if isinstance(grid, SurfaceGrid):
        left = space.flat < grid.n_left
        sides: _Vertices = {
            "left": (space.flat[left], grid.n_left),
            "right": (space.flat[~left] - grid.n_left, grid.n_right),
        }
        return joined(_on_meshes(space.source, sides, surfaces, areas=areas))
    assert isinstance(grid, CiftiGrid)
    return _of_grayordinates(space, grid, connectivity, surfaces, areas=areas)


def _of_grayordinates(
    space: Region, grid: CiftiGrid, connectivity: int, surfaces: Sequence[Path], *, areas: bool
) -> Neighbours:
    """Vertices by the meshes, or voxels by the grid, in the order that the features have in the file."""
    axis: Any = grid.axis
    on_surface = np.asarray(axis.surface_mask)[space.flat]
    if on_surface.any() and not on_surface.all():
        reason = "vertices and voxels in one map, whose extents are not comparable"
        raise InputError(space.source, reason, remedy="test surfaces and volume apart, each with its --mask")
    if not on_surface.any():
        return volume_neighbours(axis.voxel[space.flat], connectivity)
    names, places = axis.name[space.flat].astype(str), []
    if odd := sorted(set(names) - {"CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"}):
        raise InputError(space.source, f"no mesh can be given for {odd[0]}", remedy="leave it out with --mask")
    sides: _Vertices = {}
    for side in _SIDES:
        structure = f"CIFTI_STRUCTURE_CORTEX_{side.upper()}"
        of_side = np.flatnonzero(names == structure)
        places.append(of_side)
        sides[side] = (axis.vertex[space.flat[of_side]], axis.nvertices.get(structure, 0))
    # features may lie in the file with the right hemisphere first
    parts = _on_meshes(space.source, sides, surfaces, areas=areas)
    return subset(joined(parts), np.argsort(np.concatenate(places)))


def _on_meshes(source: str, sides: _Vertices, surfaces: Sequence[Path], *, areas: bool) -> list[Neighbours]:
    """Neighbours of the vertices of each side that has some; a mesh each, left first."""
    present = [side for side in _SIDES if len(sides[side][0])]
    if len(surfaces) == len(_SIDES) != len(present):  # a pair was given for maps of one hemisphere
        surfaces = [mesh for mesh, side in zip(surfaces, _SIDES, strict=True) if side in present]
    if len(surfaces) != len(present):
        reason = f"maps on {len(present)} surface{'s' * (len(present) > 1)} and {len(surfaces)} meshes"
        remedy = _GIVE_MESHES if len(present) > 1 else f"give --surface {present[0].upper()}.surf.gii"
        raise InputError(source, reason, remedy=remedy)
    parts = []
    for path, side in zip(surfaces, present, strict=True):
        vertices, n_vertices = sides[side]
        mesh = read_mesh(path)
        require_side(path, mesh.structure, side)
        if len(mesh.coordinates) != n_vertices:
            reason = f"a mesh of {len(mesh.coordinates)} vertices where the {side} maps of {source} have {n_vertices}"
            raise InputError(path, reason, remedy="give the mesh that the maps lie on")
        parts.append(mesh_neighbours(mesh.faces, n_vertices, mesh.coordinates, areas=areas, keep=vertices))
    return parts
