"""Legacy VTK files of meshes with values at their vertices, for ParaView, 3D Slicer and FSL."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from thalgpu.engine.outputs.atomic import write_text
from thalgpu.errors import NumericsError


def write_vtk(path: Path, points: ArrayLike, triangles: ArrayLike, scalars: Mapping[str, ArrayLike] = {}) -> None:
    """Write a mesh as ASCII POLYDATA, atomically; the same arrays give the same bytes.

    Parameters
    ----------
    path : `.vtk` file.
    points : (n_vertices, 3) mm, written as float32 in the shortest digits that read back the same.
    triangles : (n_faces, 3) vertex numbers.
    scalars : name → (n_vertices,) values at the vertices, written likewise; blanks in a name become underscores.

    Raises
    ------
    NumericsError
        For values that are not finite, triangles of vertices that do not exist, and arrays of other shapes.
    ResourceError
        As `write_bytes`.
    """
    xyz, faces = np.asarray(points, dtype=np.float32), np.asarray(triangles)
    columns = {"_".join(name.split()): np.asarray(values, dtype=np.float32) for name, values in scalars.items()}
    if xyz.ndim != 2 or xyz.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise NumericsError(f"a mesh of points {xyz.shape} and triangles {faces.shape}; both need three columns")
    if faces.size and (faces.min() < 0 or faces.max() >= len(xyz)):
        raise NumericsError(f"triangles of other vertices than the mesh's {len(xyz)}")
    for name, values in columns.items():
        if values.shape != (len(xyz),):
            raise NumericsError(f"{name} has shape {values.shape} where the mesh has {len(xyz)} vertices")
    if not all(np.isfinite(values).all() for values in (xyz, *columns.values())):
        raise NumericsError("values that are NaN or Inf cannot be written")
    lines = ["# vtk DataFile Version 3.0", "thalgpu", "ASCII", "DATASET POLYDATA", f"POINTS {len(xyz)} float"]
    lines += [" ".join(map(str, row)) for row in xyz]
    lines += [f"POLYGONS {len(faces)} {4 * len(faces)}"]
    lines += [f"3 {a} {b} {c}" for a, b, c in faces.tolist()]
    lines += [f"POINT_DATA {len(xyz)}"] * bool(columns)
    for name, values in columns.items():
        lines += [f"SCALARS {name} float 1", "LOOKUP_TABLE default", *map(str, values)]
    write_text(path, "\n".join(lines) + "\n")
