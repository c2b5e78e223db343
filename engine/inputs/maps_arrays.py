"""Subjects' maps as plain arrays: HDF5 and NumPy."""

import hashlib
import os
import re
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.engine.inputs.hdf5_guard import open_guarded, read_all, users_dataset, users_matrices
from thalgpu.engine.inputs.subject_maps import MapStack
from thalgpu.errors import InputError

_SAVE_AGAIN = "save the array again, e.g. with numpy.save"
_SUBJECTS_FIRST = "give an array (n_subjects, n_features)"
_LONGEST_HEADER = 1 << 16
_NPY_HEADER = re.compile(
    rb"\s*'descr': *'(?P<descr>[<>|=]?[a-zA-Z?][0-9]{0,3})', *'fortran_order': *(?P<order>True|False), *"
    rb"'shape': *\((?P<shape>[0-9, ]{0,64})\),? *\}\s*"
)


def read_hdf5(argument: Path) -> MapStack:
    """A dataset (n_subjects, n_features) of `FILE.h5[:DATASET]`; DATASET may be left out where there is one matrix.

    It must lie in the file itself: links to other files, external and virtual data, and filters other than HDF5's own
    deflate are refused.
    """
    path, name = _split(argument)
    with open_guarded(path, remedy=_SAVE_AGAIN) as file:
        if name is None:
            matrices = users_matrices(file)
            if len(matrices) != 1:
                has = ", ".join(matrices[:8]) or "none"
                reason = f"{len(matrices)} arrays with two axes in it ({has})"
                remedy = "write FILE:NAME of the one that is meant" if matrices else _SUBJECTS_FIRST
                raise InputError(path, reason, remedy=remedy)
            name = matrices[0]
        dataset = users_dataset(file, path, name)
        _require_matrix(path, dataset.shape, at=name)
        matrix = read_all(dataset)
    return _stack(path, matrix, {path: _sha256(path)})


def read_npy(path: Path) -> MapStack:
    """A NumPy array (n_subjects, n_features) of real numbers; pickled objects are never loaded."""
    content = read_bytes(path)
    dtype, order, shape, offset = _npy_header(path, content.data)
    if dtype.kind not in "fiub":
        raise InputError(path, f"{dtype} are not real numbers", at="descr", remedy=_SAVE_AGAIN)
    _require_matrix(path, shape, at="shape")
    n_bytes, found = prod(shape) * dtype.itemsize, len(content.data) - offset
    if n_bytes != found:
        reason = f"its header claims {n_bytes} bytes, the file has {found}"
        raise InputError(path, reason, remedy="the file is cut short or damaged; copy or write it again")
    matrix = np.frombuffer(content.data, dtype, offset=offset).reshape(shape, order=order)
    return _stack(path, matrix, {path: content.sha256})


def _npy_header(path: Path, start: bytes) -> tuple[np.dtype[Any], Literal["C", "F"], tuple[int, ...], int]:
    """Type, order, shape, and where the numbers begin.

    The header is a Python dictionary as text. It is matched, not evaluated: NumPy's own parser warns and raises all
    sorts of errors on damaged ones.
    """
    length = int.from_bytes(start[8:10], "little") if start[6:7] == b"\x01" else int.from_bytes(start[8:12], "little")
    offset = length + (10 if start[6:7] == b"\x01" else 12)
    header = _NPY_HEADER.fullmatch(start[:offset].partition(b"{")[2][:_LONGEST_HEADER])
    if not start.startswith(b"\x93NUMPY") or header is None:
        raise InputError(path, "not a NumPy array of plain numbers", at="header", remedy=_SAVE_AGAIN)
    try:
        dtype = np.dtype(header["descr"].decode())
        shape = tuple(int(side) for side in header["shape"].split(b",") if side.strip())
    except (TypeError, ValueError) as error:
        raise InputError(path, f"not a NumPy array: {error}", at="header", remedy=_SAVE_AGAIN) from error
    return dtype, "F" if header["order"] == b"True" else "C", shape, offset


def _split(argument: Path) -> tuple[Path, str | None]:
    """File and dataset; a file of exactly that name comes first."""
    text = str(argument)
    if os.path.isfile(text):
        return argument, None
    found = re.fullmatch(r"(.*\.(?:h5|hdf5)):(.+)", text, re.IGNORECASE | re.DOTALL)
    return (Path(found[1]), found[2]) if found else (argument, None)


def _require_matrix(path: Path, shape: tuple[int, ...], at: str) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(path, f"an array of shape {shape}", at=at, remedy=_SUBJECTS_FIRST)


def _stack(path: Path, matrix: NDArray[Any], sources: dict[Path, str]) -> MapStack:
    return MapStack(path, list(matrix), tuple(f"row {number}" for number in range(1, len(matrix) + 1)), None, sources)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error
