"""CIFTI-2 matrices: the NIfTI container and its XML are checked before nibabel makes the axes."""

import struct
import xml.parsers.expat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.cifti2.cifti2 import Cifti2HeaderError
from nibabel.cifti2.cifti2_axes import BrainModelAxis
from nibabel.cifti2.parse_cifti2 import Cifti2Parser
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import CheckedStream, open_nifti
from thalgpu.engine.inputs.nifti import CIFTI_INTENTS, NiftiHeader
from thalgpu.errors import InputError

_AGAIN = "give a CIFTI file, or write it again"

_PARSER: Any = Cifti2Parser
_EXTENSION_CODE = 32
_MOST_VERTICES = 10_000_000
_MOST_VOXELS = 1 << 31
_XML_FAILURES = (
    Cifti2HeaderError,
    xml.parsers.expat.ExpatError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What nibabel's parser raises for XML that is well formed but not CIFTI; it documents none of them."""


@dataclass(frozen=True)
class CiftiHeader:
    """Container and axes of a CIFTI-2 matrix.

    Attributes
    ----------
    nifti : the container's header; `nifti.offset` bytes in, the matrix lies with its first axis running fastest.
    axes : nibabel's axes of the rows (series, maps) and of the columns (grayordinates, parcels).
    shape : (n_rows, n_columns).
    """

    nifti: NiftiHeader
    axes: tuple[Any, Any]
    shape: tuple[int, int]


@dataclass(frozen=True)
class CiftiImage:
    """A CIFTI-2 matrix held whole: `matrix` (n_rows, n_columns) with the header's axes."""

    matrix: NDArray[Any]
    axes: tuple[Any, Any]
    sha256: str


def is_cifti(header: NiftiHeader) -> bool:
    """Whether a NIfTI header is that of a CIFTI file, by its intent code."""
    return header.intent in CIFTI_INTENTS


def read_cifti(path: Path) -> CiftiImage:
    """A whole CIFTI-2 file, for dlabel and dscalar; InputError for anything unsound."""
    with CheckedStream(path) as stream:
        header = open_cifti(stream)
        stored = np.frombuffer(stream.read(header.nifti.size), header.nifti.dtype)
        sha256 = stream.finish()
    matrix = stored.reshape(header.shape, order="F")
    if header.nifti.scaled:
        matrix = matrix * np.float64(header.nifti.slope) + header.nifti.inter
    return CiftiImage(matrix, header.axes, sha256)


def open_cifti(stream: CheckedStream) -> CiftiHeader:
    """Header of a stream at its start, which is left where the matrix begins."""
    path, nifti = stream.path, open_nifti(stream)
    if not is_cifti(nifti):
        raise InputError(path, "not a CIFTI file", at="intent_code", remedy="give a .dtseries.nii or .dlabel.nii file")
    if len(nifti.shape) not in (5, 6) or any(n != 1 for n in nifti.shape[:4]):
        raise InputError(path, f"a CIFTI matrix has two axes, not the shape {nifti.shape}", at="dim", remedy=_AGAIN)
    shape = (nifti.shape[4], nifti.shape[5] if len(nifti.shape) == 6 else 1)
    text = _xml(stream.read(nifti.offset), path)
    _check_xml(text, shape, path)
    try:
        parser = _PARSER()
        parser.parse(string=text)
        axes = parser.header.get_axis(0), parser.header.get_axis(1)
        lengths = tuple(len(axis) for axis in axes)
        for axis in axes:
            if isinstance(axis, BrainModelAxis):
                _check_brain_models(axis, path)
    except _XML_FAILURES as error:
        raise InputError(path, f"the CIFTI header cannot be understood: {error}", at="XML", remedy=_AGAIN) from error
    if lengths != shape:
        raise InputError(path, f"the axes have lengths {lengths}, the matrix {shape}", at="XML", remedy=_AGAIN)
    return CiftiHeader(nifti, axes, shape)


def _xml(start: bytes, path: Path) -> bytes:
    """The XML among the extensions between the 540 bytes of the header and the data."""
    order, at = "<" if start[:1] == b"\x1c" else ">", 544  # the file begins with 540 = 0x21c as a 32-bit number
    while at + 8 <= len(start):
        size, code = struct.unpack(f"{order}ii", start[at : at + 8])
        if size < 8 or at + size > len(start):
            break
        if code == _EXTENSION_CODE:
            return start[at + 8 : at + size].rstrip(b"\0")
        at += size
    raise InputError(path, "the CIFTI extension is missing or damaged", at="extension", remedy=_AGAIN)


def _check_xml(text: bytes, shape: tuple[int, int], path: Path) -> None:
    """Refuse what would make a parser expand entities, or allocate and compute far beyond the file's size."""
    n_models = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal n_models
        if name == "BrainModel":
            n_models += abs(int(attributes.get("IndexCount", 0)))
        if abs(int(attributes.get("SeriesExponent", 0))) > 12:
            raise InputError(path, "the exponent of the series axis is impossible", at="SeriesExponent", remedy=_AGAIN)
        if int(attributes.get("MeterExponent", -3)) != -3:
            raise InputError(path, "the voxel coordinates are not in millimetres", at="MeterExponent", remedy=_AGAIN)
        if n_models > 2 * max(shape):
            raise InputError(
                path, "the brain models claim more grayordinates than the matrix has", at="IndexCount", remedy=_AGAIN
            )

    def refuse(*_: object) -> None:
        raise InputError(path, "a document type declaration is not allowed", at="DOCTYPE", remedy=_AGAIN)

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except (xml.parsers.expat.ExpatError, LookupError, ValueError) as error:  # the last two: encodings, numbers
        raise InputError(path, f"damaged XML: {error}", at="XML", remedy=_AGAIN) from error


def _check_brain_models(axis: Any, path: Path) -> None:
    """Every vertex and voxel must lie inside its surface or volume."""
    surface = np.asarray(axis.surface_mask)
    limits = np.array([axis.nvertices.get(name, 0) for name in axis.name[surface]], dtype=np.int64)
    vertex, voxel = axis.vertex[surface], axis.voxel[~surface]
    if limits.max(initial=0) > _MOST_VERTICES or (vertex < 0).any() or (vertex >= limits).any():
        raise InputError(path, "vertices lie outside their surface", at="BrainModel", remedy=_AGAIN)
    if voxel.size:
        sides = np.array(axis.volume_shape, dtype=np.int64)
        if sides.min() < 1 or sides.astype(float).prod() > _MOST_VOXELS or (voxel < 0).any() or (voxel >= sides).any():
            raise InputError(path, "voxels lie outside their volume", at="BrainModel", remedy=_AGAIN)
        if not np.isfinite(axis.affine).all():
            raise InputError(path, "the affine is not finite", at="Volume", remedy=_AGAIN)
