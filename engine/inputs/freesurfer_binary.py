"""FreeSurfer's own formats: curv, annot, label, surface and MGH, read from bytes that are whole and checked.

nibabel's readers believe every count in these files (2^31 names in a colour table) and read from the disk directly;
here a count is compared with the bytes that are there before anything is made of it.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.words import quoted
from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.engine.inputs.map_neighbours import Mesh
from thalgpu.engine.inputs.text_files import numbered_lines, read_text
from thalgpu.engine.inputs.vtk_mesh import as_float64, checked_triangles
from thalgpu.errors import InputError

_AGAIN = "copy the file again, or run FreeSurfer again"
_LARGEST = 1 << 30
_CURV, _TRIANGLES = b"\xff\xff\xff", b"\xff\xff\xfe"
_MGH_HEADER = 284
_MGH_DTYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
_MOST_NAMES = 1 << 16
_FARTHEST, _FLAT = 1e5, 1e-9
"""mm from the origin and mm³ of a voxel, beyond which a header is not believed."""


@dataclass(frozen=True)
class Annotation:
    """An annot file: `labels` (n_vertices,) index of each vertex's name, −1 for none; `names`; the file's SHA-256."""

    labels: NDArray[np.int64]
    names: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class MghImage:
    """An MGH image: `values` (x, y, z) or (x, y, z, frames) as stored, `affine` (4, 4) to scanner mm, and SHA-256."""

    values: NDArray[Any]
    affine: NDArray[np.float64]
    sha256: str


def read_morph(path: Path) -> tuple[NDArray[np.float64], str]:
    """Values (n_vertices,) float64 of a curv file such as `lh.thickness` or `lh.area`, finite, and the SHA-256."""
    cursor = _Cursor(path)
    if cursor.take(3) != _CURV:
        raise cursor.error("not a FreeSurfer curv file of the new format")
    n_vertices, _, per_vertex = cursor.integers(3)
    if per_vertex != 1:
        raise cursor.error(f"{per_vertex} values a vertex where one is expected")
    values = as_float64(cursor.array(n_vertices, ">f4"))
    cursor.finish()
    if not np.isfinite(values).all():
        raise cursor.error("values that are NaN or Inf")
    return values, cursor.sha256


def read_annotation(path: Path) -> Annotation:
    """An `.annot` file with a colour table, of the old or the new format.

    Vertices whose colour is not in the table, as in the medial wall, have the label −1.
    """
    cursor = _Cursor(path)
    (n_vertices,) = cursor.integers(1)
    pairs = cursor.array(2 * n_vertices, ">i4").reshape(n_vertices, 2)
    if n_vertices and not np.array_equal(np.sort(pairs[:, 0]), np.arange(n_vertices)):
        raise cursor.error("vertices that are not counted from 0, each once")
    colours = np.empty(n_vertices, np.int64)
    colours[pairs[:, 0]] = pairs[:, 1]
    if not n_vertices or cursor.integers(1) != [1]:
        raise cursor.error("no colour table, which names the parcels")
    names, codes = _colour_table(cursor)
    labels = np.full(n_vertices, -1, np.int64)
    order = np.argsort(codes, kind="stable")
    at = np.searchsorted(codes[order], colours)
    inside = at < len(codes)
    inside[inside] = codes[order[at[inside]]] == colours[inside]
    labels[inside & (colours != 0)] = order[at[inside & (colours != 0)]]
    return Annotation(labels, tuple(names), cursor.sha256)


def read_label(path: Path, n_vertices: int | None = None) -> tuple[NDArray[np.int64], str]:
    """Vertices, ascending, of a `.label` file, and the SHA-256; InputError for one that is not below `n_vertices`."""
    text, sha256 = read_text(path)
    lines = numbered_lines(text)
    if len(lines) < 2 or not lines[0][1].startswith("#"):
        raise InputError(path, "not a FreeSurfer label", remedy=_AGAIN)
    (at, claimed), *rows = lines[1:]
    if claimed != str(len(rows)):
        raise InputError(path, f"{len(rows)} rows where it says {quoted(claimed, 20)}", at=at, remedy=_AGAIN)
    vertices = []
    for at, line in rows:
        first = line.split(None, 1)[0]
        if not (first.isascii() and first.isdecimal() and len(first) < 10):
            raise InputError(path, f"{quoted(first, 20)} is no vertex", at=at, remedy=_AGAIN)
        vertices.append(int(first))
    found = np.unique(np.array(vertices, dtype=np.int64))
    if not found.size or (n_vertices is not None and found[-1] >= n_vertices):
        reason = f"vertex {found[-1]} of a surface of {n_vertices}" if found.size else "no vertex"
        raise InputError(path, reason, remedy="give the label of the same surface")
    return found, sha256


def read_surface(path: Path) -> Mesh:
    """A surface of triangles such as `lh.white` or `lh.sphere.reg`; `coordinates` in FreeSurfer's surface mm."""
    cursor = _Cursor(path)
    if cursor.take(3) != _TRIANGLES:
        raise cursor.error("not a FreeSurfer surface of triangles")
    for _ in range(2):  # who made it and when, then an empty line
        cursor.line()
    n_vertices, n_faces = cursor.integers(2)
    points = as_float64(cursor.array(3 * n_vertices, ">f4")).reshape(n_vertices, 3)
    faces = checked_triangles(path, cursor.array(3 * n_faces, ">i4").reshape(n_faces, 3), points)
    return Mesh(path, faces, points, "", cursor.sha256)


def read_mgh(path: Path) -> MghImage:
    """An `.mgh` or `.mgz` image of real numbers; the affine is that of scanner coordinates, as nibabel's."""
    cursor = _Cursor(path)
    header = cursor.take(_MGH_HEADER)
    version, *dims, kind, _, has_geometry = struct.unpack(">7ih", header[:30])
    if version != 1 or kind not in _MGH_DTYPES or min(dims) < 1:
        raise cursor.error(f"not an MGH image (version {version}, shape {tuple(dims)}, type {kind})")
    dtype = np.dtype(_MGH_DTYPES[kind])
    values = cursor.array(math.prod(dims), dtype.str).astype(dtype.newbyteorder("=")).reshape(dims, order="F")
    zooms, directions, centre = np.ones(3), np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.zeros(3)
    if has_geometry == 1:
        geometry = as_float64(np.frombuffer(header[30:90], ">f4"))
        zooms, directions, centre = geometry[:3], geometry[3:12].reshape(3, 3).T, geometry[12:]
    if not (np.abs(np.concatenate([zooms, directions.ravel(), centre])) <= _FARTHEST).all():
        raise cursor.error("its geometry is not finite or beyond belief")
    affine = np.eye(4)
    affine[:3, :3] = directions * zooms
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array(dims[:3]) / 2)
    if abs(np.linalg.det(affine[:3, :3])) < _FLAT:
        raise cursor.error("its voxels have no volume")
    return MghImage(values[..., 0] if dims[3] == 1 else values, affine, cursor.sha256)


def _colour_table(cursor: "_Cursor") -> tuple[list[str], NDArray[np.int64]]:
    """Names, and the number that stands for each one's colour in the vertices."""
    (version,) = cursor.integers(1)
    if version > 0:  # the old format begins with the number of names
        n_entries = version
        cursor.text()
    else:
        if version != -2:
            raise cursor.error(f"a colour table of version {-version}, not 2")
        cursor.integers(1)  # the largest number in the table
        cursor.text()
        (n_entries,) = cursor.integers(1)
    if not 0 < n_entries <= _MOST_NAMES:
        raise cursor.error(f"a colour table of {n_entries} names")
    names, codes = [], []
    for _ in range(n_entries):
        if version < 0:
            cursor.integers(1)  # its number in the table, which nothing refers to
        names.append(cursor.text())
        red, green, blue, _ = cursor.integers(4)
        codes.append(red + (green << 8) + (blue << 16))
    return names, np.array(codes, np.int64)


class _Cursor:
    """The bytes of a file and how far they have been read; InputError where they end too early."""

    def __init__(self, path: Path) -> None:
        content = read_bytes(path, limit=_LARGEST)
        self._path, self._bytes, self._at, self.sha256 = path, content.data, 0, content.sha256

    def take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._bytes):
            raise self.error(f"{size} bytes are claimed, more than the rest of the file holds")
        self._at += size
        return self._bytes[self._at - size : self._at]

    def array(self, count: int, dtype: str) -> NDArray[Any]:
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    def integers(self, count: int) -> list[int]:
        return [int(value) for value in self.array(count, ">i4")]

    def text(self) -> str:
        (size,) = self.integers(1)
        return self.take(size).rstrip(b"\0").decode("utf-8", errors="replace")

    def line(self) -> None:
        end = self._bytes.find(b"\n", self._at)
        if end < 0:
            raise self.error("the file is cut short")
        self._at = end + 1

    def finish(self) -> None:
        if self._at != len(self._bytes):
            raise self.error("more data than its header claims")

    def error(self, reason: str) -> InputError:
        return InputError(self._path, reason, remedy=_AGAIN)
