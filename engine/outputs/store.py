"""Write-once HDF5 records: one file a result, complete or absent, verified when read.

A record is built in memory and written as `thalgpu.engine.outputs.atomic` does, because HDF5 itself has no write order:
a process killed while it appends can make everything in a file unreadable. The same content gives the same bytes: no
times, one fixed file format (HDF5 1.10, whose metadata carry checksums), fixed chunks, Fletcher-32, no compression.
A slash in a dataset's name ("null/age/stat") makes groups, which carry nothing of their own.

Root attributes are text: bare where the value is text, JSON otherwise (a text that would read as JSON is quoted). Three
are the store's own: `config_key` (what the result was made from), `datasets` (dtype, shape and SHA-256 of each) and
`content_sha256` (of all other attributes, and through `datasets` of every number in the record).
"""

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import canonical_json
from thalgpu.engine.inputs.hdf5_guard import (
    MOST_LEVELS,
    REMEDY,
    checked_dataset,
    dataset_names,
    open_guarded,
    read_all,
    root_texts,
)
from thalgpu.engine.outputs.atomic import write_bytes
from thalgpu.errors import InputError, ThalgpuError

_KEY, _CONTENT, _DATASETS = "config_key", "content_sha256", "datasets"
_CHUNK_BYTES = 1 << 20
_DTYPES = frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetSpec:
    """What a dataset must be: its dtype by name, and its shape, None where any length will do."""

    dtype: str
    shape: tuple[int | None, ...]

    def fits(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether a dataset of this dtype and shape is what was expected."""
        same = len(shape) == len(self.shape) and all(
            want in (None, have) for want, have in zip(self.shape, shape, strict=True)
        )
        return same and dtype == np.dtype(self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join('any' if n is None else str(n) for n in self.shape)})"


@dataclass(frozen=True)
class Record:
    """What was asked of a record, verified.

    Attributes
    ----------
    datasets : the arrays that were asked for, by name.
    attributes : all root attributes, those of the store among them.
    """

    datasets: dict[str, NDArray[Any]]
    attributes: dict[str, Any]

    @property
    def content_sha256(self) -> str:
        """Identity of the whole record's content."""
        return str(self.attributes[_CONTENT])


def write_record(path: Path, datasets: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any], *, key: str) -> str:
    """Write a record at once and for good.

    Parameters
    ----------
    path : the file; replaced when it exists.
    datasets : name → numbers, each with at least one axis; finite. A name may have slashes, for up to two groups.
    attributes : name → text, or anything that JSON can say (without NaN).
    key : what the result was made from, as `thalgpu.engine.config.config_key` gives it.

    Returns
    -------
    The SHA-256 (hex) of the content: names, dtypes, shapes and bytes of all datasets, and all attributes.

    Raises
    ------
    ResourceError
        When the file cannot be written; nothing is left behind.
    ThalgpuError
        When a dataset or an attribute holds NaN or Inf: no such number may leave the engine.
    """
    arrays, texts = _settled(path, datasets, attributes, key)
    buffer = io.BytesIO()
    timeless = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    timeless.set_obj_track_times(False)
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        for group in _groups(arrays):
            h5py.h5g.create(file.id, group.encode(), gcpl=timeless)
        for name, array in arrays.items():
            growing = (None,) * array.ndim if array.size == 0 else None  # HDF5 wants a chunk to fit the largest shape
            dataset = file.create_dataset(
                name, data=array, chunks=_chunks(array), maxshape=growing, fletcher32=True, track_times=False
            )
            # written now, and so in this order, although a profiler's thread may still hold on to what made it
            dataset.id.close()
        for name, text in sorted(texts.items()):
            raw = text.encode()
            file.attrs.create(name, np.array(raw, dtype=h5py.string_dtype("utf-8", len(raw))))
    write_bytes(path, buffer.getbuffer())
    return texts[_CONTENT]


def record_content(path: Path, datasets: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any], *, key: str) -> str:
    """The SHA-256 that `write_record` would return; nothing is written, and `path` is for messages only."""
    return _settled(path, datasets, attributes, key)[1][_CONTENT]


def read_record(path: Path, expected: Mapping[str, DatasetSpec]) -> Record:
    """Read the datasets that are asked for, and no others, and verify them.

    Before a byte of a dataset is read it is known to be no link, not external or virtual, without foreign filters or
    types, no larger than the file, and as `expected`. What is read must have the digest that the record states.

    Raises
    ------
    InputError
        When the file is missing, damaged, no record, or not as expected. Nothing else escapes.
    """
    with open_guarded(path) as file:
        attributes, listing = _verified_attributes(file, path)
        missing = sorted(set(expected) - set(listing))
        if missing:
            raise InputError(path, "the dataset is missing", at=missing[0], remedy=REMEDY)
        datasets = {name: _verified_array(file, path, name, spec, listing) for name, spec in expected.items()}
    return Record(datasets, attributes)


def read_attributes(path: Path) -> dict[str, Any]:
    """All root attributes of a record, verified; InputError as `read_record`."""
    return read_record(path, {}).attributes


def is_done(path: Path, key: str) -> bool:
    """Whether `path` is a record of this key whose every byte is as it was written.

    A missing file and one of another key are not done. Nor is a damaged one: it is logged as a warning, to be written
    again.
    """
    if not path.exists():
        return False
    try:
        with open_guarded(path) as file:
            attributes, listing = _verified_attributes(file, path)
            if attributes[_KEY] != key:
                return False
            for name, about in listing.items():
                _verified_array(file, path, name, about.spec, listing)
    except InputError as error:
        _LOG.warning("a damaged result counts as not done: %s", error)
        return False
    return True


@dataclass(frozen=True)
class _Listed:
    """A dataset as the record's own listing states it."""

    spec: DatasetSpec
    sha256: str


def _verified_attributes(file: h5py.File, path: Path) -> tuple[dict[str, Any], dict[str, _Listed]]:
    """Attributes that have the digest they state, and the listing of the datasets, which must be those in the file."""
    texts = root_texts(file, path)
    for name in (_KEY, _DATASETS, _CONTENT):
        if name not in texts:
            raise InputError(path, "not a record of thalgpu: the attribute is missing", at=name)
    stated = texts.pop(_CONTENT)
    if stated != _content_sha256(texts):
        raise InputError(path, "its attributes are not those that were written", at=_CONTENT, remedy=REMEDY)
    attributes = {name: _from_text(text) for name, text in texts.items()}
    listing = _listing(path, attributes[_DATASETS])
    if sorted(listing) != sorted(dataset_names(file, path)):
        raise InputError(path, "its datasets are not those that were written", at=_DATASETS, remedy=REMEDY)
    return {**attributes, _CONTENT: stated}, listing


def _listing(path: Path, stated: object) -> dict[str, _Listed]:
    # The digest proves that nothing was changed by accident, not that an honest hand wrote it.
    if not isinstance(stated, dict):
        raise InputError(path, "not a listing of datasets", at=_DATASETS, remedy=REMEDY)
    return {name: _listed(path, name, about) for name, about in stated.items()}


def _listed(path: Path, name: str, about: object) -> _Listed:
    match about:
        case {"dtype": str(dtype), "shape": [*shape], "sha256": str(sha256)} if dtype in _DTYPES and all(
            type(n) is int for n in shape
        ):
            return _Listed(DatasetSpec(dtype, tuple(shape)), sha256)
    raise InputError(path, f"the listing of {name} is not understood", at=_DATASETS, remedy=REMEDY)


def _verified_array(
    file: h5py.File, path: Path, name: str, expected: DatasetSpec, listing: Mapping[str, _Listed]
) -> NDArray[Any]:
    dataset = checked_dataset(file, path, name)
    if not expected.fits(dataset.dtype, dataset.shape):
        found = DatasetSpec(dataset.dtype.name, dataset.shape)
        raise InputError(path, f"it is {found}, not {expected}", at=name, remedy="give the record of the same run")
    array = read_all(dataset)
    if _array_sha256(array) != listing[name].sha256:
        raise InputError(path, "its numbers are not those that were written", at=name, remedy=REMEDY)
    if not np.isfinite(array).all():
        raise InputError(path, "it holds NaN or Inf", at=name, remedy=REMEDY)
    return array


def _settled(
    path: Path, datasets: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any], key: str
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Datasets as they are stored, and all root attributes."""
    arrays = {name: _storable(name, datasets[name], path) for name in sorted(datasets)}
    listing = {
        name: {"dtype": array.dtype.name, "shape": array.shape, "sha256": _array_sha256(array)}
        for name, array in arrays.items()
    }
    texts = {name: _to_text(value) for name, value in {**attributes, _KEY: key, _DATASETS: listing}.items()}
    return arrays, {**texts, _CONTENT: _content_sha256(texts)}


def _storable(name: str, array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.dtype.name not in _DTYPES or array.ndim == 0:
        raise ValueError(f"{name}: {array.dtype} {array.shape} cannot be stored; convert it to numbers with an axis")
    if len(parts := name.split("/")) > MOST_LEVELS or not {"", ".", ".."}.isdisjoint(parts):
        raise ValueError(f"{name!r} is no name for a dataset")
    if not np.isfinite(array).all():
        raise ThalgpuError(f"{name} holds NaN or Inf and is not written", where=str(path))
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _groups(names: Iterable[str]) -> list[str]:
    """Every group that the names lie in, parents first."""
    paths = (name.split("/")[:-1] for name in names)
    return sorted({"/".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1)})


def _chunks(array: NDArray[Any]) -> tuple[int, ...]:
    """Whole rows, about 1 MiB of them; no side is 0, even where the array is empty."""
    row = tuple(max(1, n) for n in array.shape[1:])
    return (max(1, min(len(array), _CHUNK_BYTES // (array.itemsize * prod(row)))), *row)


def _array_sha256(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _content_sha256(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(canonical_json(dict(texts)).encode()).hexdigest()


def _to_text(value: Any) -> str:
    """Bare text where it can be told from JSON and printed; JSON otherwise."""
    bare = isinstance(value, str) and value.isprintable() and value and _from_text(value) is value
    try:
        return value if bare else canonical_json(value)
    except ValueError as error:
        raise ThalgpuError(f"an attribute holds NaN or Inf and is not written: {value!r:.80}") from error


def _from_text(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
