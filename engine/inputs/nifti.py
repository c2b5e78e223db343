"""NIfTI-1 and NIfTI-2 headers: every field that decides a number is checked before it is believed."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from thalgpu.errors import InputError

_AGAIN = "give a NIfTI image, or write it again"

HEADER_BYTES = 540
"""Enough first bytes for either version; a NIfTI-1 file with data is never shorter (352 + data) unless it is tiny."""

_Order: TypeAlias = Literal["<", ">"]
_SIZES: dict[int, Any] = {348: Nifti1Header, 540: Nifti2Header}
_MAGIC = {348: (b"n+1\x00",), 540: (b"n+2\x00\r\n\x1a\n",)}
_PAIRS = (b"ni1\x00", b"ni2\x00\r\n\x1a\n")
_DTYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_SECONDS = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}
CIFTI_INTENTS = range(3000, 3100)
"""Intent codes of CIFTI files, whose places are in their XML."""

_LARGEST_OFFSET = 1 << 28
"""Bytes before the data, extensions included; the XML of a 91k CIFTI takes about 2 MB."""


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI header says, validated.

    Attributes
    ----------
    shape : at least three axes; trailing axes of length 1 are dropped beyond the third.
    dtype : on disk, with its byte order.
    offset : bytes before the data.
    slope, inter : stored value × slope + inter is the value; 1 and 0 where the header asks for no scaling, which is a
        slope of 0 by the standard, and of NaN as nibabel reads and some programs write it.
    affine : (4, 4) float64, voxel indices to mm: sform, else qform, else the standard's scaled and centred default.
    step : spacing of the fourth axis in s, or None where the header has none or its unit is not a time.
    intent : intent code.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    inter: float
    affine: NDArray[np.float64]
    step: float | None
    intent: int

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether stored values and values differ."""
        return (self.slope, self.inter) != (1.0, 0.0)


def parse_nifti_header(start: bytes, path: Path) -> NiftiHeader:
    """The header in the first bytes of a (decompressed) single-file NIfTI; InputError names the field that is wrong."""
    sizeof, order = _version(start, path)
    if len(start) < sizeof:
        raise InputError(path, "the NIfTI header is cut short", remedy="copy the file again")
    header = _SIZES[sizeof](start[:sizeof], order, check=False)
    magic = start[344:348] if sizeof == 348 else start[4:12]
    if magic in _PAIRS:
        raise InputError(path, "a header/image pair is not supported", at="magic", remedy="convert it to .nii.gz")
    if magic not in _MAGIC[sizeof]:
        raise InputError(path, "not a NIfTI file: its magic string is wrong", at="magic", remedy=_AGAIN)
    slope, inter = _scaling(header, path)
    return NiftiHeader(
        shape=_shape(header, path),
        dtype=_dtype(header, order, path),
        offset=_offset(header, sizeof, path),
        slope=slope,
        inter=inter,
        affine=_affine(header, path),
        step=_step(header),
        intent=int(header["intent_code"]),
    )


def _version(start: bytes, path: Path) -> tuple[int, _Order]:
    orders: tuple[_Order, _Order] = ("<", ">")
    for order in orders:
        if len(start) >= 4 and (sizeof := struct.unpack(f"{order}i", start[:4])[0]) in _SIZES:
            return sizeof, order
    raise InputError(path, "not a NIfTI file", at="sizeof_hdr", remedy="give a .nii or .nii.gz file")


def _shape(header: Any, path: Path) -> tuple[int, ...]:
    dim = [int(n) for n in header["dim"]]
    if not 3 <= dim[0] <= 7:
        raise InputError(
            path, f"the header claims {dim[0]} dimensions; an image has 3 or 4", at="dim[0]", remedy=_AGAIN
        )
    shape = dim[1 : dim[0] + 1]
    if min(shape) < 1:
        raise InputError(path, f"the header claims the shape {tuple(shape)}", at="dim", remedy=_AGAIN)
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    return tuple(shape)


def _dtype(header: Any, order: _Order, path: Path) -> np.dtype[np.generic]:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in _DTYPES:
        raise InputError(path, f"data type code {code} is not a real number type", at="datatype", remedy=_AGAIN)
    dtype = np.dtype(_DTYPES[code]).newbyteorder(order)
    if bits != 8 * dtype.itemsize:
        raise InputError(path, f"{bits} bits a voxel contradict data type {dtype.name}", at="bitpix", remedy=_AGAIN)
    return dtype


def _offset(header: Any, sizeof: int, path: Path) -> int:
    offset = float(header["vox_offset"])
    # The data follow the header and the four bytes that say whether there are extensions.
    if not offset.is_integer() or not sizeof + 4 <= offset <= _LARGEST_OFFSET:
        raise InputError(path, f"data offset {offset} is impossible", at="vox_offset", remedy=_AGAIN)
    return int(offset)


def _scaling(header: Any, path: Path) -> tuple[float, float]:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):  # the standard: slope 0 means stored values are the values; nibabel: NaN too
        return 1.0, 0.0
    if not math.isfinite(slope) or not math.isfinite(inter):
        raise InputError(
            path, f"scaling slope {slope} and intercept {inter} are not finite", at="scl_slope", remedy=_AGAIN
        )
    return slope, inter


def _affine(header: Any, path: Path) -> NDArray[np.float64]:
    if int(header["intent_code"]) in CIFTI_INTENTS:  # Workbench leaves the spatial fields empty
        return np.eye(4)
    field = "sform" if header["sform_code"] > 0 else "qform" if header["qform_code"] > 0 else "pixdim"
    try:
        with np.errstate(all="ignore"):  # what overflows here is refused below
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
            usable = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-12
    except (ValueError, ArithmeticError) as error:  # quaternions that are no rotation
        raise InputError(path, f"the affine cannot be made: {error}", at=field, remedy=_AGAIN) from error
    if not usable:
        raise InputError(path, "the affine is not finite or not invertible", at=field, remedy=_AGAIN)
    return affine


def _step(header: Any) -> float | None:
    step, unit = float(header["pixdim"][4]), int(header["xyzt_units"]) & 0x38
    if unit not in _SECONDS or not math.isfinite(step) or step <= 0:
        return None
    return step * _SECONDS[unit]
