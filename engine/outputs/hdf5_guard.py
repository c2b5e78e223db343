"""HDF5 from an untrusted place: what a file claims is checked before a byte of its data is read.

HDF5 follows links into other files, reads external storage, runs plugins for unknown filters, and a file of one
kilobyte may claim a dataset of 128 GiB. A record of ours has none of these: its attributes are fixed-length text, its
datasets hard-linked, chunked and uncompressed plain numbers, which therefore cannot be larger than their file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import InputError

REMEDY = "remove the file and run again"
_MOST_ENTRIES = 256
"""Attributes, or links: more are no record."""

# What h5py raises on damaged files: OSError and RuntimeError from the library; KeyError on missing objects; ValueError
# (UnicodeDecodeError too), TypeError and NotImplementedError (a RuntimeError) on types that it cannot map;
# OverflowError and MemoryError on claimed sizes; AttributeError on objects of another kind.
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, AttributeError)


@contextmanager
def open_guarded(path: Path) -> Iterator[h5py.File]:
    """Open for reading; whatever HDF5 raises, now or while it is read from, becomes an InputError."""
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except _HDF5_ERRORS as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(path, f"cannot be read as HDF5: {lines[0]}", remedy=REMEDY) from error


def root_texts(file: h5py.File, path: Path) -> dict[str, str]:
    """Root attributes, all of which must be scalar fixed-length text."""
    count = h5py.h5a.get_num_attrs(file.id)
    if count > _MOST_ENTRIES:
        raise InputError(path, f"{count} attributes are more than any record has", remedy=REMEDY)
    texts = {}
    for index in range(count):
        attribute = h5py.h5a.open(file.id, index=index)
        name, kind = attribute.name.decode(), attribute.get_type()
        scalar = attribute.get_space().get_simple_extent_type() == h5py.h5s.SCALAR
        if not scalar or kind.get_class() != h5py.h5t.STRING or kind.is_variable_str():
            raise InputError(path, "the attribute is not fixed-length text", at=name, remedy=REMEDY)
        _require_size(path, name, kind.get_size())
        text = np.empty((), dtype=f"S{kind.get_size()}")
        attribute.read(text, mtype=kind)
        texts[name] = text.item().decode()
    return texts


def dataset_names(file: h5py.File, path: Path) -> list[str]:
    """Names of the root's datasets; InputError when anything else is there, before any link is followed."""
    if len(file) > _MOST_ENTRIES:
        raise InputError(path, f"{len(file)} datasets are more than any record has", remedy=REMEDY)
    names = list(file)
    for name in names:
        link = file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise InputError(path, f"a {type(link).__name__} is not followed", at=name, remedy=REMEDY)
        if file.get(name, getclass=True) is not h5py.Dataset:
            raise InputError(path, "not a dataset", at=name, remedy=REMEDY)
    return names


def checked_dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    """A dataset of plain numbers that lies in this file and is no larger than it; nothing is read yet."""
    dataset = file[name]
    created = dataset.id.get_create_plist()
    if created.get_layout() != h5py.h5d.CHUNKED:  # external and virtual data have other layouts
        raise InputError(path, "its data are not stored as a record's are", at=name, remedy=REMEDY)
    filters = {created.get_filter(index)[0] for index in range(created.get_nfilters())}
    if filters - {h5py.h5z.FILTER_FLETCHER32}:
        raise InputError(path, f"filters {sorted(filters)} are not used by records", at=name, remedy=REMEDY)
    if dataset.id.get_type().get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
        raise InputError(path, "not plain numbers", at=name, remedy=REMEDY)
    itemsize = dataset.dtype.itemsize
    _require_size(path, name, itemsize * max(prod(dataset.shape), prod(dataset.chunks)))
    return dataset


def read_all(dataset: h5py.Dataset) -> NDArray[Any]:
    """The whole of a checked dataset."""
    values = np.empty(dataset.shape, dtype=dataset.dtype)
    dataset.read_direct(values)
    return values


def _require_size(path: Path, name: str, claimed: int) -> None:
    if claimed > path.stat().st_size:
        raise InputError(path, f"it claims {claimed} bytes, more than the file has", at=name, remedy=REMEDY)
