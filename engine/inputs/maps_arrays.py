"""Subjects' maps as plain arrays: HDF5 and NumPy."""

import hashlib
import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.engine.inputs.hdf5_guard import open_guarded, read_all, users_dataset, users_matrices
from thalgpu.engine.inputs.subject_maps import MapStack
from thalgpu.errors import InputError

_SAVE_AGAIN = "save the array again, e.g. with numpy.save"
_SUBJECTS_FIRST = "give an array (n_subjects, n_features)"
_LARGEST_HEADER = 1 << 16


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
                raise InputError(path, reason, remedy="write FILE:NAME of the one that is meant")
            name = matrices[0]
        dataset = users_dataset(file, path, name)
        _require_matrix(path, dataset.shape, at=name)
        matrix = read_all(dataset)
    return _stack(path, matrix, {path: _sha256(path)})


def read_npy(path: Path) -> MapStack:
    """A NumPy array (n_subjects, n_features) of real numbers; pickled objects are never loaded."""
    content = read_bytes(path)
    stream = io.BytesIO(content.data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, in_fortran_order, dtype = read(stream, max_header_size=_LARGEST_HEADER)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, OverflowError) as error:
        raise InputError(path, f"not a sound NumPy array: {error}", remedy=_SAVE_AGAIN) from error
    if dtype.kind not in "fiub":
        raise InputError(path, f"{dtype} are not real numbers", at="descr", remedy=_SAVE_AGAIN)
    _require_matrix(path, shape, at="shape")
    n_bytes, found = shape[0] * shape[1] * dtype.itemsize, len(content.data) - stream.tell()
    if n_bytes != found:
        reason = f"its header claims {n_bytes} bytes, the file has {found}"
        raise InputError(path, reason, remedy="the file is cut short or damaged; copy or write it again")
    values = np.frombuffer(content.data, dtype, offset=stream.tell())
    return _stack(path, values.reshape(shape, order="F" if in_fortran_order else "C"), {path: content.sha256})


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
