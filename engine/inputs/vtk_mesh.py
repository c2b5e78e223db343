"""Legacy VTK files of triangles, as FSL's FIRST writes them and as VTK and ParaView save them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.words import quoted
from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.engine.inputs.map_neighbours import Mesh
from thalgpu.errors import InputError

MAGIC = b"# vtk DataFile Version"

_LARGEST = 1 << 28
_AGAIN = "give a legacy VTK file of triangles (DATASET POLYDATA), or write it again"
_DTYPES = {
    "float": "f4", "double": "f8", "int": "i4", "unsigned_int": "u4", "long": "i8", "unsigned_long": "u8",
    "vtktypeint32": "i4", "vtktypeint64": "i8", "vtkidtype": "i8",
}  # fmt: skip
_TOKEN = re.compile(rb"\S+")
_LONGEST_NUMBER = 64
"""Bytes; longer ones would make an array of all numbers as wide."""


def read_vtk(path: Path) -> Mesh:
    """The points and triangles of a legacy VTK file, ASCII or binary, version 1 to 5.

    Of the sections, POINTS and POLYGONS are read (those of version 5.1 as OFFSETS and CONNECTIVITY); what follows them
    (normals, scalars, colours) is left unread. The coordinates are taken as millimetres as they are.

    Returns
    -------
    Mesh
        `coordinates` (n_vertices, 3) float64 mm and `faces` (n_faces, 3); `structure` is "".

    Raises
    ------
    InputError
        For other data sets than POLYDATA, counts that the file does not hold, polygons that are no triangles or that
        name vertices that do not exist or one vertex twice, and coordinates that are not finite.
    """
    content = read_bytes(path, limit=_LARGEST)
    file = _File(path, content.data)
    points = file.points()
    triangles = file.triangles()
    return Mesh(path, checked_triangles(path, triangles, points), points, "", content.sha256)


def as_float64(values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers of a file in double precision; NumPy warns of a signalling NaN, which the caller refuses as any NaN."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def checked_triangles(path: Path, triangles: NDArray[Any], points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Triangles whose three vertices exist and differ, of points that are finite; InputError otherwise."""
    if not np.isfinite(points).all():
        raise InputError(path, "coordinates that are NaN or Inf", at="POINTS", remedy="write the mesh again")
    if not len(triangles) or triangles.min() < 0 or triangles.max() >= len(points):
        reason = f"triangles of other vertices than its {len(points)}" if len(triangles) else "no triangle"
        raise InputError(path, reason, at="POLYGONS", remedy="write the mesh again")
    a, b, c = triangles.T
    folded = np.flatnonzero((a == b) | (b == c) | (a == c))
    if folded.size:
        reason = f"triangle {folded[0]} has one vertex twice"
        raise InputError(path, reason, at="POLYGONS", remedy="clean the mesh of collapsed triangles")
    return triangles.astype(np.int64)


class _File:
    """A cursor over the bytes of one file; `_at` is where the next token begins."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._bytes = path, content
        lines = content.split(b"\n", 2)
        if len(lines) < 3 or not lines[0].startswith(MAGIC):
            raise self._error("not a legacy VTK file", "line 1")
        self._at = len(lines[0]) + len(lines[1]) + 2  # behind the version and the title, which may hold anything
        encoding = self._word().upper()
        if encoding not in ("ASCII", "BINARY"):
            raise self._error(f"{quoted(encoding, 20)} where ASCII or BINARY is expected", "line 3")
        self._binary = encoding == "BINARY"
        if (self._word().upper(), self._word().upper()) != ("DATASET", "POLYDATA"):
            raise self._error("no DATASET POLYDATA", "line 4")

    def points(self) -> NDArray[np.float64]:
        """The section POINTS, which comes first."""
        self._expect("POINTS")
        n_points, kind = self._count(), self._word().lower()
        if kind not in ("float", "double"):
            raise self._error(f"points of type {quoted(kind, 20)}, not float or double", "POINTS")
        return as_float64(self._numbers(3 * n_points, _DTYPES[kind], "POINTS")).reshape(n_points, 3)

    def triangles(self) -> NDArray[np.int64]:
        """The section POLYGONS: `3 a b c` a row, or the offsets and the connectivity of version 5.1."""
        self._skip_metadata()
        self._expect("POLYGONS")
        n_polygons, size = self._count(), self._count()
        if self._peek().upper() == "OFFSETS":
            return self._from_offsets(n_polygons, size)
        rows = self._numbers(size, "i4", "POLYGONS")
        if size != 4 * n_polygons or (rows[::4] != 3).any():
            raise self._error("polygons that are no triangles", "POLYGONS", "split them into triangles")
        return rows.reshape(-1, 4)[:, 1:].astype(np.int64)

    def _from_offsets(self, n_offsets: int, size: int) -> NDArray[np.int64]:
        self._expect("OFFSETS")
        offsets = self._numbers(n_offsets, self._integer_type(), "OFFSETS")
        self._expect("CONNECTIVITY")
        connectivity = self._numbers(size, self._integer_type(), "CONNECTIVITY")
        if size % 3 or not np.array_equal(offsets, 3 * np.arange(size // 3 + 1)):
            raise self._error("polygons that are no triangles", "OFFSETS", "split them into triangles")
        return connectivity.astype(np.int64).reshape(-1, 3)

    def _integer_type(self) -> str:
        word = self._word().lower()
        if _DTYPES.get(word, "f")[0] not in "iu":
            raise self._error(f"numbers of type {quoted(word, 20)}", "POLYGONS")
        return _DTYPES[word]

    def _skip_metadata(self) -> None:
        """Pass over METADATA, which ends at an empty line."""
        if self._peek().upper() == "METADATA":
            end = re.compile(rb"\n[ \r]*\n").search(self._bytes, self._at)
            self._at = end.end() if end else len(self._bytes)

    def _numbers(self, count: int, dtype: str, at: str) -> NDArray[Any]:
        """The next `count` numbers; a count that the rest cannot hold is refused before anything is made."""
        rest = len(self._bytes) - self._at
        size = count * np.dtype(dtype).itemsize
        if (size > rest) if self._binary else (2 * count - 1 > rest):
            raise self._error(f"{count} numbers are claimed, more than the rest of the file holds", at)
        if self._binary:
            start = self._bytes.find(b"\n", self._at) + 1  # the numbers begin behind the line end of their header
            if start == 0 or start + size > len(self._bytes):
                raise self._error("the file is cut short", at, "copy the file again")
            self._at = start + size
            return np.frombuffer(self._bytes, np.dtype(dtype).newbyteorder(">"), count, start)
        return self._ascii_numbers(count, dtype, at)

    def _ascii_numbers(self, count: int, dtype: str, at: str) -> NDArray[Any]:
        tokens: list[bytes] = []
        for match in _TOKEN.finditer(self._bytes, self._at):
            if len(tokens) == count:
                break
            tokens.append(match[0])
            self._at = match.end()
        if len(tokens) != count:
            raise self._error(f"{len(tokens)} of the {count} numbers that are claimed", at, "copy the file again")
        try:
            if any(len(token) > _LONGEST_NUMBER or b"_" in token for token in tokens):
                raise ValueError("not a number")
            values = np.array(tokens, dtype="S").astype(np.float64)
        except ValueError as error:
            raise self._error("text among the numbers", at) from error
        if dtype[0] == "f":
            return values
        if not (np.abs(values) < 2**31).all() or (values != np.rint(values)).any():
            raise self._error("vertex numbers that are not whole", at)
        return values.astype(np.int64)

    def _word(self) -> str:
        match = _TOKEN.search(self._bytes, self._at)
        if match is None:
            raise self._error("the file is cut short", None, "copy the file again")
        self._at = match.end()
        return match[0][:64].decode("ascii", errors="replace")

    def _peek(self) -> str:
        at = self._at
        word = self._word()
        self._at = at
        return word

    def _expect(self, section: str) -> None:
        word = self._word()
        if word.upper() != section:
            raise self._error(f"{quoted(word, 20)} where the section {section} is expected", section)

    def _count(self) -> int:
        word = self._word()
        if not (word.isascii() and word.isdecimal() and len(word) <= 12):
            raise self._error(f"{quoted(word, 20)} is no count", "POINTS and POLYGONS")
        return int(word)

    def _error(self, reason: str, at: str | None, remedy: str = _AGAIN) -> InputError:
        return InputError(self._path, reason, at=at, remedy=remedy)
