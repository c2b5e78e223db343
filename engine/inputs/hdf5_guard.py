"""HDF5 from an untrusted place: what a file claims is checked before a byte of its data is read.

HDF5 follows links into other files, reads external storage, runs plugins for unknown filters, and a file of one
kilobyte may claim a dataset of 128 GiB. A record of ours has none of these: its attributes are fixed-length text, its
datasets hard-linked, chunked and uncompressed plain numbers, which therefore cannot be larger than their file. A user's
own array may also lie contiguous or be compressed by HDF5's own deflate, whose ratio is bounded.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.checked import DEFLATE_RATIO
from thalgpu.errors import InputError

REMEDY = "remove the file and run again"
_ANOTHER_FILE = "save the array again, e.g. with numpy.save"

_MOST_ATTRIBUTES = 256
_MOST_ENTRIES = 4096
"""Datasets and groups: more are no record."""

MOST_LEVELS = 3
"""Names in a dataset's path: `contrasts/age/stat` is as deep as a record goes."""

_OWN_FILTERS = frozenset({h5py.h5z.FILTER_FLETCHER32})
_BUILT_IN_FILTERS = _OWN_FILTERS | {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}

# What h5py raises on damaged files: OSError and RuntimeError from the library; KeyError on missing objects; ValueError
# (UnicodeDecodeError too), TypeError and NotImplementedError (a RuntimeError) on types that it cannot map;
# OverflowError and MemoryError on claimed sizes; AttributeError on objects of another kind.
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, AttributeError)


@contextmanager
def open_guarded(path: Path, *, remedy: str = REMEDY) -> Iterator[h5py.File]:
    """Open for reading; whatever HDF5 raises, now or while it is read from, becomes an InputError."""
    if not os.path.isfile(path):  # unlike Path.is_file, False for a name that is too long
        raise InputError(path, "no such file", remedy="check its name")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except _HDF5_ERRORS as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(path, f"cannot be read as HDF5: {lines[0]}", remedy=remedy) from error


def root_texts(file: h5py.File, path: Path) -> dict[str, str]:
    """Root attributes, all of which must be scalar fixed-length text."""
    count = h5py.h5a.get_num_attrs(file.id)
    if count > _MOST_ATTRIBUTES:
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
    """Names of all datasets, those in groups with slashes ("null/age/stat").

    InputError when anything else is there, before any link is followed. A group that was linked into itself ends at the
    deepest level allowed.
    """
    names: list[str] = []
    to_see = [("", file)]
    n_seen = 0
    while to_see:
        prefix, group = to_see.pop()
        n_seen += len(group)
        if n_seen > _MOST_ENTRIES:
            raise InputError(path, f"{n_seen} datasets are more than any record has", remedy=REMEDY)
        for name in group:
            full = prefix + name
            kind = _kind(group, path, name, full, REMEDY)
            if kind is h5py.Dataset:
                names.append(full)
            elif kind is h5py.Group and full.count("/") + 1 < MOST_LEVELS:
                to_see.append((full + "/", group[name]))
            else:
                raise InputError(path, "not a dataset", at=full, remedy=REMEDY)
    return names


def checked_dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    """A record's dataset: plain numbers that lie in this file and are no larger than it; nothing is read yet."""
    dataset = file[name]
    if dataset.id.get_create_plist().get_layout() != h5py.h5d.CHUNKED:  # external and virtual data have other layouts
        raise InputError(path, "its data are not stored as a record's are", at=name, remedy=REMEDY)
    _require_plain(dataset, path, name, _OWN_FILTERS, REMEDY)
    return dataset


def users_dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    """A dataset of numbers in a file that somebody else wrote: reached by hard links only, and all of it in this file.

    It may be contiguous or chunked, as it is or deflated; nothing is read yet.
    """
    group, full = file, ""
    for part in name.strip("/").split("/"):
        full = f"{full}/{part}".lstrip("/")
        # asked with getlink, h5py looks at the link itself and opens nothing that it leads to
        if part in ("", ".") or not isinstance(group, h5py.Group) or group.get(part, getlink=True) is None:
            raise InputError(path, "the file has no such dataset", at=name, remedy=_choice(file))
        _kind(group, path, part, full, _ANOTHER_FILE)
        group = group[part]
    if not isinstance(group, h5py.Dataset):
        raise InputError(path, "not a dataset", at=name, remedy=_choice(file))
    created = group.id.get_create_plist()
    if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count():
        raise InputError(path, "data in other files are not followed", at=name, remedy=_ANOTHER_FILE)
    _require_plain(group, path, name, _BUILT_IN_FILTERS, _ANOTHER_FILE)
    return group


def users_matrices(file: h5py.File) -> list[str]:
    """Names of the root's hard-linked datasets with two axes."""
    hard = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    return [name for name in hard if file.get(name, getclass=True) is h5py.Dataset and file[name].ndim == 2]


def read_all(dataset: h5py.Dataset) -> NDArray[Any]:
    """The whole of a checked dataset."""
    values = np.empty(dataset.shape, dtype=dataset.dtype)
    dataset.read_direct(values)
    return values


def _kind(group: h5py.Group, path: Path, name: str, full: str, remedy: str) -> object:
    """h5py's class of what a hard link leads to; InputError for links of other kinds."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise InputError(path, f"{type(link).__name__} is not followed", at=full, remedy=remedy)
    return group.get(name, getclass=True)


def _require_plain(dataset: h5py.Dataset, path: Path, name: str, allowed: frozenset[int], remedy: str) -> None:
    """InputError unless the numbers are plain, of known filters, and no more than the file can hold."""
    created = dataset.id.get_create_plist()
    filters = {created.get_filter(index)[0] for index in range(created.get_nfilters())}
    if filters - allowed:
        raise InputError(path, f"filters {sorted(filters - allowed)} are not read", at=name, remedy=remedy)
    if dataset.id.get_type().get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
        raise InputError(path, "not plain numbers", at=name, remedy=remedy)
    ratio = DEFLATE_RATIO if h5py.h5z.FILTER_DEFLATE in filters else 1
    claimed = dataset.dtype.itemsize * max(prod(dataset.shape), prod(dataset.chunks or ()))
    _require_size(path, name, claimed, ratio, remedy)


def _require_size(path: Path, name: str, claimed: int, ratio: int = 1, remedy: str = REMEDY) -> None:
    if claimed > ratio * path.stat().st_size:
        raise InputError(path, f"it claims {claimed} bytes, more than the file has", at=name, remedy=remedy)


def _choice(file: h5py.File) -> str:
    names = users_matrices(file)
    return f"write FILE:NAME; it has {', '.join(names[:8])}" if names else _ANOTHER_FILE
