"""Meshes and maps on them as GIFTI files; the same numbers give the same bytes."""

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.gifti.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from numpy.typing import NDArray

from thalgpu.engine.outputs.atomic import write_bytes
from thalgpu.errors import ThalgpuError


def write_surface(path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int64], structure: str) -> Path:
    """Write a mesh as `.surf.gii`.

    Parameters
    ----------
    vertices : (n_vertices, 3) mm, stored as float32.
    faces : (n_faces, 3) vertex numbers, stored as int32.
    structure : AnatomicalStructurePrimary, such as "ThalamusLeft".

    Raises
    ------
    ResourceError
        When the file cannot be written.
    ThalgpuError
        When a coordinate is NaN or Inf.
    """
    points = _finite(path, vertices)
    arrays = [
        GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET", datatype="NIFTI_TYPE_FLOAT32"),
        GiftiDataArray(
            np.ascontiguousarray(faces, np.int32), intent="NIFTI_INTENT_TRIANGLE", datatype="NIFTI_TYPE_INT32"
        ),
    ]
    return _write(path, arrays, structure)


def write_shape(path: Path, values: NDArray[np.float64], structure: str, name: str) -> Path:
    """Write one number a vertex as `.shape.gii`.

    Parameters
    ----------
    values : (n_vertices,), stored as float32.
    structure : as of `write_surface`.
    name : of the map.

    Raises
    ------
    As `write_surface`.
    """
    array = GiftiDataArray(
        _finite(path, values),
        intent="NIFTI_INTENT_SHAPE",
        datatype="NIFTI_TYPE_FLOAT32",
        meta=GiftiMetaData(Name=name),
    )
    return _write(path, [array], structure)


def _write(path: Path, arrays: list[Any], structure: str) -> Path:
    meta = GiftiMetaData(AnatomicalStructurePrimary=structure)
    write_bytes(path, bytes(GiftiImage(meta=meta, darrays=arrays).to_bytes()))
    return path


def _finite(path: Path, values: NDArray[np.float64]) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise ThalgpuError("numbers of a surface hold NaN or Inf and are not written", where=str(path))
    return np.ascontiguousarray(values, np.float32)
