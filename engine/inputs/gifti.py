"""GIFTI arrays, read by a parser that refuses external files and never inflates beyond the claimed dimensions.

nibabel follows `ExternalFileName` to any file on the machine and inflates whatever it is given; here both are refused
before a byte is decoded. Arrays are decoded one by one as the text arrives, so that only one is ever held as text.
"""

import binascii
import math
import xml.parsers.expat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import CheckedStream
from thalgpu.errors import InputError

_AGAIN = "give a GIFTI file (.gii), or write it again"

Side: TypeAlias = Literal["left", "right"]

_DTYPES = {
    "NIFTI_TYPE_UINT8": "u1", "NIFTI_TYPE_INT8": "i1", "NIFTI_TYPE_INT16": "i2", "NIFTI_TYPE_UINT16": "u2",
    "NIFTI_TYPE_INT32": "i4", "NIFTI_TYPE_UINT32": "u4", "NIFTI_TYPE_FLOAT32": "f4", "NIFTI_TYPE_FLOAT64": "f8",
}  # fmt: skip
_ENDIAN = {"LittleEndian": "<", "BigEndian": ">"}
_ORDER = {"RowMajorOrder": "C", "ColumnMajorOrder": "F"}
_LARGEST_ARRAY = 1 << 30
_XML_FAILURES = (xml.parsers.expat.ExpatError, LookupError, ValueError)
"""The last two for a declared encoding that does not exist, or that expat cannot follow."""


@dataclass(frozen=True)
class GiftiImage:
    """Arrays of a GIFTI file in their order, with the intents they carry, the label table, and the file's SHA-256.

    `structure` is its first AnatomicalStructurePrimary ("CortexLeft"), or "".
    """

    arrays: tuple[NDArray[Any], ...]
    intents: tuple[str, ...]
    labels: dict[int, str]
    sha256: str
    structure: str = ""


def read_gifti(path: Path, *, vertices: NDArray[np.int64] | None = None, n_vertices: int | None = None) -> GiftiImage:
    """All arrays of a GIFTI file.

    Parameters
    ----------
    path : `.gii` file.
    vertices : rows of each array that are kept; None keeps all.
    n_vertices : length that the first axis of every array must have; checked before anything is decoded.

    Raises
    ------
    InputError
        For damaged XML or data, a document type declaration, external data, and arrays that differ from their claims.
    """
    reader = _Reader(path, vertices=vertices, n_vertices=n_vertices)
    with CheckedStream(path) as stream:
        for piece in stream.rest():
            reader.feed(piece)
        reader.feed(b"", last=True)
        sha256 = stream.finish()
    if reader.n_claimed is not None and reader.n_claimed != len(reader.arrays):
        raise InputError(
            path, f"{len(reader.arrays)} arrays instead of {reader.n_claimed}", at="NumberOfDataArrays", remedy=_AGAIN
        )
    return GiftiImage(tuple(reader.arrays), tuple(reader.intents), reader.labels, sha256, reader.structure)


@dataclass(frozen=True)
class GiftiShape:
    """What the start of a functional GIFTI file says; `structure` as in `GiftiImage`."""

    n_vertices: int
    n_timepoints: int
    structure: str


def require_side(path: Path, structure: str, side: Side) -> None:
    """InputError for a file whose own metadata say that it is the other hemisphere; those that say nothing pass."""
    other = "right" if side == "left" else "left"
    if structure.lower().endswith(other):
        raise InputError(
            path,
            f"the {side} surface is {structure} by its own metadata",
            at="AnatomicalStructurePrimary",
            remedy="exchange the two files: left comes first",
        )


def read_gifti_shape(path: Path) -> GiftiShape:
    """The start of a functional GIFTI file, up to the first data; these are not decoded."""
    reader = _Reader(path, decode=False)
    with CheckedStream(path) as stream:
        for piece in stream.rest():
            reader.feed(piece)
            if reader.in_data:
                break
    if not reader.first_dims:
        raise InputError(path, "no data arrays", remedy="give a .func.gii file")
    n_vertices, *columns = reader.first_dims
    return GiftiShape(n_vertices, (reader.n_claimed or 1) * math.prod(columns), reader.structure)


class _Reader:
    """Turns expat's events into arrays; `feed` raises InputError only."""

    def __init__(
        self,
        path: Path,
        *,
        vertices: NDArray[np.int64] | None = None,
        n_vertices: int | None = None,
        decode: bool = True,
    ) -> None:
        self.path, self.vertices, self.n_vertices, self.decode = path, vertices, n_vertices, decode
        self.arrays: list[NDArray[Any]] = []
        self.intents: list[str] = []
        self.labels: dict[int, str] = {}
        self.n_claimed: int | None = None
        self.first_dims: tuple[int, ...] = ()
        self.in_data = False
        self.structure = ""
        self._name = ""
        self._array: dict[str, str] = {}
        self._dims: tuple[int, ...] = ()
        self._key = 0
        self._text: list[str] | None = None
        self._parser = xml.parsers.expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        try:
            self._parser.Parse(piece, last)
        except _XML_FAILURES as error:
            raise InputError(self.path, f"damaged XML: {error}", remedy=_AGAIN) from error

    def _fail(self, reason: str, at: str) -> InputError:
        return InputError(self.path, reason, at=f"{at}, line {self._parser.CurrentLineNumber}", remedy=_AGAIN)

    def _refuse_doctype(self, *declaration: object) -> None:
        # The standard's own declaration carries no entities; anything with an internal subset or another name might.
        name, _, _, has_subset = declaration
        if has_subset or name != "GIFTI":
            raise self._fail("a document type declaration with definitions is not allowed", "DOCTYPE")

    def _integer(self, text: str, at: str) -> int:
        if not text.strip().lstrip("-").isdecimal() or len(text) > 12:
            raise self._fail(f"{text[:20]!r} is not a number", at)
        return int(text)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "GIFTI" and "NumberOfDataArrays" in attributes:
            self.n_claimed = self._integer(attributes["NumberOfDataArrays"], "NumberOfDataArrays")
        elif name == "DataArray":
            self._array, self._dims = attributes, self._checked_dims(attributes)
            self.first_dims = self.first_dims or self._dims
        elif name == "Label":
            self._key, self._text = self._integer(attributes.get("Key", attributes.get("Index", "")), "Label"), []
        elif name == "Data":
            if not self._array:
                raise self._fail("data outside an array", "Data")
            self.in_data = True
            self._text = [] if self.decode else None
        elif name in ("Name", "Value"):
            self._text = []

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, name: str) -> None:
        if self._text is None or name not in ("Data", "Label", "Name", "Value"):
            return
        text, self._text = "".join(self._text), None
        if name == "Label":
            self.labels[self._key] = text.strip()
        elif name == "Name":
            self._name = text.strip()
        elif name == "Value":
            if self._name == "AnatomicalStructurePrimary":
                self.structure = self.structure or text.strip()
        else:
            values = self._values(text)
            self.arrays.append(values if self.vertices is None else values[self.vertices])
            self.intents.append(self._array.get("Intent", ""))
            self._array = {}

    def _checked_dims(self, array: dict[str, str]) -> tuple[int, ...]:
        if array.get("ExternalFileName") or array.get("Encoding") == "ExternalFileBinary":
            raise self._fail("data in an external file are not allowed", "ExternalFileName")
        for field, known in (("DataType", _DTYPES), ("Endian", _ENDIAN), ("ArrayIndexingOrder", _ORDER)):
            if array.get(field) not in known:
                raise self._fail(f"{array.get(field)!r} is not understood", field)
        n_dims = self._integer(array.get("Dimensionality", ""), "Dimensionality")
        dims = tuple(self._integer(array.get(f"Dim{i}", ""), f"Dim{i}") for i in range(min(n_dims, 6)))
        if not dims or min(dims) < 1 or math.prod(dims) * 8 > _LARGEST_ARRAY:
            raise self._fail(f"the array claims the shape {dims}", "Dim0")
        if self.n_vertices is not None and dims[0] != self.n_vertices:
            raise self._fail(f"{dims[0]} vertices where the region's surface has {self.n_vertices}", "Dim0")
        return dims

    def _values(self, text: str) -> NDArray[Any]:
        array, encoding = self._array, self._array.get("Encoding")
        dtype = np.dtype(_DTYPES[array["DataType"]]).newbyteorder("<" if _ENDIAN[array["Endian"]] == "<" else ">")
        size = math.prod(self._dims) * dtype.itemsize
        try:
            if encoding == "ASCII":
                values = np.array(text.split(), dtype=np.float64).astype(dtype)
            else:
                content = binascii.a2b_base64("".join(text.split()), strict_mode=True)
                values = np.frombuffer(
                    self._inflated(content, size) if encoding == "GZipBase64Binary" else content, dtype
                )
        except (ValueError, zlib.error) as error:  # binascii.Error is a ValueError
            raise self._fail(f"damaged data: {error}", "Data") from error
        if encoding not in ("ASCII", "Base64Binary", "GZipBase64Binary") or values.nbytes != size:
            raise self._fail(f"the data are not the {self._dims} {dtype.name} values that are claimed", "Data")
        return values.reshape(self._dims, order="F" if _ORDER[array["ArrayIndexingOrder"]] == "F" else "C")

    def _inflated(self, content: bytes, size: int) -> bytes:
        decoder = zlib.decompressobj()
        values = decoder.decompress(content, size + 1)
        if not decoder.eof or decoder.unused_data:
            raise ValueError("the compressed data do not end where their dimensions say")
        return values
