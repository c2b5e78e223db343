"""Damaged and hostile HDF5 files: only InputError escapes, and no wrong number is ever read."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalgpu.engine.config import canonical_json
from thalgpu.engine.outputs.store import DatasetSpec, is_done, read_record, write_record
from thalgpu.errors import InputError

pytestmark = pytest.mark.fault("damaged or hostile HDF5 record")

EXPECTED = {"gradients": DatasetSpec("float32", (40, None)), "lambdas": DatasetSpec("float64", (None,))}
GRADIENTS = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
LAMBDAS = np.array([3.0, 2.0, 1.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def sound(folder: Path) -> bytes:
    """Bytes of a good record."""
    path = folder / "sound.h5"
    write_record(path, {"gradients": GRADIENTS, "lambdas": LAMBDAS}, {"config": {"alpha": 0.5}}, key="a key")
    return path.read_bytes()


@pytest.fixture
def record(sound: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "record.h5"
    path.write_bytes(sound)
    return path


def by_external_link(file: h5py.File) -> None:
    other = Path(file.filename).with_name("other.h5")
    with h5py.File(other, "w") as foreign:
        foreign["gradients"] = GRADIENTS
    file["gradients"] = h5py.ExternalLink(str(other), "/gradients")


def by_soft_link(file: h5py.File) -> None:
    file["real"] = GRADIENTS
    file["gradients"] = h5py.SoftLink("/real")


def by_virtual_dataset(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(GRADIENTS.shape, np.float32)
    layout[:] = h5py.VirtualSource("/etc/passwd", "gradients", GRADIENTS.shape)
    file.create_virtual_dataset("gradients", layout)


def by_external_storage(file: h5py.File) -> None:
    file.create_dataset("gradients", GRADIENTS.shape, np.float32, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def by_a_huge_claim(file: h5py.File) -> None:
    file.create_dataset("gradients", (40, 1 << 30), np.float32, chunks=(40, 100), fletcher32=True)


def by_huge_chunks(file: h5py.File) -> None:
    file.create_dataset("gradients", (40, 3), np.float32, chunks=(40, 1 << 22), maxshape=(40, None), fletcher32=True)


def by_a_compressed_dataset(file: h5py.File) -> None:
    file.create_dataset("gradients", data=GRADIENTS, compression="gzip")


def by_an_unknown_filter(file: h5py.File) -> None:
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_chunk(GRADIENTS.shape)
    created.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file.id, b"gradients", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple(GRADIENTS.shape), created)


def by_a_group(file: h5py.File) -> None:
    file.create_group("gradients")


def by_text(file: h5py.File) -> None:
    file.create_dataset("gradients", data=np.full(GRADIENTS.shape, b"0.5"), chunks=GRADIENTS.shape)


def by_references(file: h5py.File) -> None:
    references = np.full(GRADIENTS.shape, file["lambdas"].ref, dtype=h5py.ref_dtype)
    file.create_dataset("gradients", data=references, chunks=GRADIENTS.shape)


def by_another_shape(file: h5py.File) -> None:
    file.create_dataset("gradients", data=GRADIENTS[:39], chunks=True, fletcher32=True)


def by_another_dtype(file: h5py.File) -> None:
    file.create_dataset("gradients", data=GRADIENTS.astype(np.float64), chunks=True, fletcher32=True)


def by_other_numbers(file: h5py.File) -> None:
    file.create_dataset("gradients", data=GRADIENTS + 1, chunks=True, fletcher32=True)


def by_nothing(_: h5py.File) -> None:
    """The dataset is just gone."""


REPLACEMENTS = [
    by_external_link,
    by_soft_link,
    by_virtual_dataset,
    by_external_storage,
    by_a_huge_claim,
    by_huge_chunks,
    by_a_compressed_dataset,
    by_an_unknown_filter,
    by_a_group,
    by_text,
    by_references,
    by_another_shape,
    by_another_dtype,
    by_other_numbers,
    by_nothing,
]


@pytest.mark.parametrize("replace", REPLACEMENTS, ids=lambda replace: replace.__name__)
def test_a_dataset_replaced_behind_our_back_is_refused(replace: Callable[[h5py.File], None], record: Path) -> None:
    with h5py.File(record, "r+") as file:
        del file["gradients"]
        replace(file)
    with pytest.raises(InputError):
        read_record(record, EXPECTED)
    assert not is_done(record, "a key")


REFUSALS: dict[Callable[[h5py.File], None], str] = {
    by_external_link: "ExternalLink is not followed",
    by_soft_link: "SoftLink is not followed",
    by_virtual_dataset: "not stored as",
    by_external_storage: "not stored as",
    by_a_huge_claim: "more than the file has",
    by_huge_chunks: "more than the file has",
    by_an_unknown_filter: "filters",
}


@pytest.mark.parametrize("replace", REFUSALS, ids=lambda replace: replace.__name__)
def test_what_would_be_read_from_elsewhere_is_refused_for_that_reason(
    replace: Callable[[h5py.File], None], record: Path
) -> None:
    with h5py.File(record, "r+") as file:
        del file["gradients"]
        replace(file)
    with pytest.raises(InputError, match=REFUSALS[replace]):
        read_record(record, {"gradients": DatasetSpec("float32", (None, None))})


@pytest.mark.parametrize("value", [7, "text of variable length", np.arange(3), h5py.Empty("f4")], ids=repr)
def test_an_attribute_that_is_not_fixed_length_text_is_refused(value: object, record: Path) -> None:
    with h5py.File(record, "r+") as file:
        file.attrs["config"] = value
    with pytest.raises(InputError, match="not fixed-length text"):
        read_record(record, EXPECTED)


def test_an_attribute_changed_behind_our_back_is_refused(record: Path) -> None:
    with h5py.File(record, "r+") as file:
        file.attrs.modify("config_key", np.array(b"b key", dtype=h5py.string_dtype("utf-8", 5)))
    with pytest.raises(InputError, match="attributes are not those"):
        read_record(record, EXPECTED)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n"], ids=["empty", "text", "signature only"])
def test_a_file_that_is_no_hdf5_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "record.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        read_record(path, EXPECTED)


def test_a_foreign_hdf5_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.h5"
    with h5py.File(path, "w") as file:
        file["gradients"] = GRADIENTS
    with pytest.raises(InputError, match="not a record of thalgpu"):
        read_record(path, EXPECTED)


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError, match="no such file"):
            read_record(path, EXPECTED)


LISTINGS = [
    "[]",
    "7",
    "[" * 100_000,
    '{"gradients": 1}',
    '{"gradients": {"dtype": "object", "shape": [40, 3], "sha256": ""}}',
    '{"gradients": {"dtype": "float32", "shape": [40, 3.0], "sha256": ""}}',
    '{"gradients": {"dtype": "float32", "shape": "40", "sha256": ""}}',
    '{"gradients": {"dtype": "float32", "shape": [40, 3], "sha256": ""}}',
]


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing[:70])
def test_a_forged_listing_under_a_right_digest_is_refused(listing: str, tmp_path: Path) -> None:
    path = tmp_path / "record.h5"
    forge(path, {"gradients": GRADIENTS}, listing)
    with pytest.raises(InputError):
        read_record(path, {"gradients": DatasetSpec("float32", (40, 3))})
    assert not is_done(path, "a key")


def test_nan_under_a_right_digest_is_refused(tmp_path: Path) -> None:
    bad = np.array([1.0, np.nan])
    digest = hashlib.sha256(bad.tobytes()).hexdigest()
    listing = canonical_json({"lambdas": {"dtype": "float64", "shape": [2], "sha256": digest}})
    forge(tmp_path / "record.h5", {"lambdas": bad}, listing)
    with pytest.raises(InputError, match="NaN or Inf"):
        read_record(tmp_path / "record.h5", {"lambdas": DatasetSpec("float64", (2,))})


def forge(path: Path, datasets: dict[str, Any], listing: str) -> None:
    """A file whose digest of the attributes is right, whatever they say."""
    texts = {"config_key": "a key", "datasets": listing}
    texts["content_sha256"] = hashlib.sha256(canonical_json(texts).encode()).hexdigest()
    with h5py.File(path, "w", libver="v110") as file:
        for name, array in datasets.items():
            file.create_dataset(name, data=array, chunks=array.shape, fletcher32=True)
        for name, text in texts.items():
            file.attrs.create(name, np.array(text.encode(), dtype=h5py.string_dtype("utf-8", len(text))))


def read_or_refuse(path: Path, damaged: bytes) -> None:
    """A damaged record is refused, or the damage lay in unused bytes and the numbers are right."""
    path.write_bytes(damaged)
    try:
        read = read_record(path, EXPECTED)
    except InputError:
        return
    assert np.array_equal(read.datasets["gradients"], GRADIENTS)
    assert np.array_equal(read.datasets["lambdas"], LAMBDAS)
    assert read.attributes["config"] == {"alpha": 0.5}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(where=st.floats(0, 1, exclude_max=True))
def test_a_truncated_record_is_refused(where: float, folder: Path, sound: bytes) -> None:
    path = folder / "truncated.h5"
    path.write_bytes(sound[: int(where * len(sound))])
    with pytest.raises(InputError):
        read_record(path, EXPECTED)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(places=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4), bit=st.integers(0, 7))
def test_flipped_bits_never_change_a_number(places: list[float], bit: int, folder: Path, sound: bytes) -> None:
    damaged = bytearray(sound)
    for place in places:
        damaged[int(place * len(sound))] ^= 1 << bit
    read_or_refuse(folder / "flipped.h5", bytes(damaged))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    place=st.floats(0, 1, exclude_max=True), bad=st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\xff" * 64, b"\0" * 512])
)
def test_overwritten_stretches_never_change_a_number(place: float, bad: bytes, folder: Path, sound: bytes) -> None:
    start = int(place * len(sound))
    read_or_refuse(folder / "overwritten.h5", (sound[:start] + bad + sound[start + len(bad) :])[: len(sound)])
